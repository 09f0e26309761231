"""What every re-identification attack must do.

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

    The adversary holds the gallery: vectors released under known users. It sees probe vectors
    without names, has no prior on who is behind a probe (uniform over the gallery), and learns
    its own parameters from gallery data alone.
    """

    metric: ClassVar[Metric] = "cosine"

    together: ClassVar[bool] = False
    """Whether a probe's rank depends on the other probes, so that they are never sharded."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    """What the adversary holds besides the gallery's vectors.

    ``other_space``: vectors of the gallery's users in the space of another training of the same
    model, with the next seed, from which the probes come. ``histories``: what was behind the
    gallery's vectors. ``background``: vectors of two windows of other users. ``noise``: the
    covariance of the defense's noise.
    """

    plain: ClassVar[bool] = False
    """Whether it names one probe at a time from the vectors alone, and cheaply.

    By these attacks the strongest reading of a model's inputs is sought.
    """

    known_row: NDArray[np.int64] = np.empty(0, np.int64)
    """Gallery rows of users whose probes are not anonymous to the adversary; those are left out."""

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Learn from the gallery; the plain attacks have nothing to learn.

        Parameters
        ----------
        gallery
            Vectors of known users, and what ``needs`` names.
        rng
            Source of all randomness of the attack.
        """

    def templates(self, gallery: Gallery) -> NDArray[np.float32]:
        """Return what probes are compared with, one row per gallery user: by default its vector."""
        return gallery.centroids

    def facts(self, probe: NDArray[np.float32], histories: Histories) -> dict[str, float]:
        """Score what the adversary reads about the histories behind probes ``(n, d)``, by name.

        Only asked of an attack that needs ``histories``.
        """
        return {}

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map vectors ``(n, d)`` to the space where ``metric`` is computed, ``(n, d')``."""
        return vectors

    def pool(self, user_row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Say which probes the adversary knows to be of one person, whoever that is.

        The vectors of a group are averaged to one probe.

        Parameters
        ----------
        user_row : (n,)
            Whose each probe is; the probes of a user are in time order. Only which of them
            belong together may be used.

        Returns
        -------
        (n,)
            Group of each probe, counted from 0; -1 leaves it out. By default each is alone.
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
            Released vectors to name.
        gallery : (g, d)
            One released vector per known user.
        true_row : (n,)
            Gallery row of the probe's user; -1 when the user is not in the gallery.

        Returns
        -------
        Ranks
            How many gallery users beat, and how many tie with, the true one.
        """
        return exact_ranks(self.embed(probe), self.embed(gallery), true_row, metric=self.metric)

    def best(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score of the closest gallery user of every probe, ``(n,)``: large when it is close.

        An adversary who must also say "nobody I know" compares it with a threshold.
        """
        scores, _ = neighbors(self.embed(probe), self.embed(gallery), 1, metric=self.metric)
        return scores[:, 0]
