"""The interface of re-identification attacks.

Shape letters: n probes, g gallery users, m gallery events, d dimensions.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from attacks.gallery import Gallery, Histories
from attacks.ranks.exact import Ranks, exact_ranks
from attacks.ranks.neighbors import neighbors

Metric = Literal["cosine", "euclidean", "dot"]

Need = Literal["other_space", "histories", "background", "noise"]


class Attack:
    """Names the gallery user behind each probe, by ranking all gallery users.

    The adversary has the gallery: vectors of known users. It sees anonymous probe vectors, has a
    uniform prior over the gallery users, and learns its own parameters from gallery data only.
    """

    metric: ClassVar[Metric] = "cosine"

    together: ClassVar[bool] = False
    """Whether a probe's rank depends on the other probes, so that they cannot be sharded."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    """Knowledge of the adversary besides the gallery's vectors.

    ``other_space``: vectors of the gallery's users in the space of another training of the same
    model, with the next seed, from which the probes come. ``histories``: what was behind the
    gallery's vectors. ``background``: vectors of two windows of other users. ``noise``: the
    covariance of the defense's noise.
    """

    plain: ClassVar[bool] = False
    """Whether it identifies probes one by one from the vectors only, at low cost.

    These attacks are candidates for the strongest attack on a model's inputs.
    """

    known_row: NDArray[np.int64] = np.empty(0, np.int64)
    """Gallery rows of users whose probes are not anonymous to the adversary and left out."""

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Learn from the gallery; by default nothing.

        Parameters
        ----------
        gallery
            Vectors of known users, and what ``needs`` names.
        rng
            Source of all randomness of the attack.
        """

    def templates(self, gallery: Gallery) -> NDArray[np.float32]:
        """Return what probes are compared with, one row per gallery user; by default its mean."""
        return gallery.centroids

    def facts(self, probe: NDArray[np.float32], histories: Histories) -> dict[str, float]:
        """Score what the adversary infers about the histories of probes ``(n, d)``, by name.

        Only called for an attack that needs ``histories``.
        """
        return {}

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map vectors ``(n, d)`` to the space where ``metric`` is computed, ``(n, d')``."""
        return vectors

    def pool(self, user_row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Group the probes that the adversary knows to be of one unknown person.

        The vectors of a group are averaged to one probe.

        Parameters
        ----------
        user_row : (n,)
            User of each probe; the probes of a user are in time order. May be used only to group
            them.

        Returns
        -------
        (n,)
            Group of each probe, from 0; -1 leaves it out. By default each is a group.
        """
        return np.arange(len(user_row))

    def ranks(
        self,
        probe: NDArray[np.float32],
        gallery: NDArray[np.float32],
        true_row: NDArray[np.int64],
    ) -> Ranks:
        """Exact rank of the true user of every probe.

        Parameters
        ----------
        probe : (n, d)
            Released vectors to identify.
        gallery : (g, d)
            One released vector per known user.
        true_row : (n,)
            Gallery row of the probe's user; -1 if the user is not in the gallery.

        Returns
        -------
        Ranks
            Number of gallery users that score above, and tie with, the true one.
        """
        return exact_ranks(self.embed(probe), self.embed(gallery), true_row, metric=self.metric)

    def best(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score of the closest gallery user of every probe, ``(n,)``; larger is closer.

        An adversary who must also reject unknown users compares it with a threshold.
        """
        scores, _ = neighbors(self.embed(probe), self.embed(gallery), 1, metric=self.metric)
        return scores[:, 0]
