"""Linking the users of two systems through a few who are known in both."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import svd

from attacks.base import Attack, Metric, Need
from attacks.gallery import Gallery
from attacks.ranks.exact import Ranks
from attacks.ranks.means import user_means


class Linked(Attack):
    """Names the gallery user of another system, after turning one space into the other.

    The adversary holds one released vector per known user of one system, and the anonymous
    vectors of a second system that serves the same people but was trained apart from it. Of a
    few people it holds vectors in both. From these it estimates the rotation between the spaces
    (orthogonal Procrustes analysis of their centered means) and then looks for the smallest
    angle. The probes of the people known in both are left out; in the gallery they stay.

    Both spaces are projected to the axes that the known users span together; with fewer known
    users than dimensions, or with spaces of different dimension, there are fewer axes than
    dimensions, and along the others nothing is known. Otherwise the cosines are those of
    Procrustes analysis. Scale does not matter to an angle.

    Parameters
    ----------
    num_known
        People known in both systems, at least 2; they are drawn at random.

    Attributes
    ----------
    known_row : (num_known,)
        Gallery rows of these people, ascending.

    References
    ----------
    Peter H. Schoenemann, A Generalized Solution of the Orthogonal Procrustes Problem,
    Psychometrika, 1966.

    Pierre Champion, Thomas Thebaud, Gael Le Lan, Anthony Larcher, Denis Jouvet, On the
    Invertibility of a Voice Privacy System Using Embedding Alignment, IEEE Automatic Speech
    Recognition and Understanding Workshop, 2021 (x-vectors before and after anonymization, up to
    62 % of the speakers recovered).
    """

    metric: ClassVar[Metric] = "cosine"
    needs: ClassVar[frozenset[Need]] = frozenset({"other_space"})

    def __init__(self, *, num_known: int = 50) -> None:
        if num_known < 2:
            raise ValueError(f"linked: num_known must be at least 2, got {num_known}")
        self.num_known = num_known

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Draw the people known in both systems and align the spaces on them.

        Parameters
        ----------
        gallery
            Vectors in the gallery's space, and, as ``there``, their users' in the probes' space,
            where only the known users' are read.
        rng
            Draws the known users.

        Raises
        ------
        ValueError
            If the gallery holds no more than ``num_known`` users, or nothing of the other space.
        """
        if gallery.there is None:
            raise ValueError(
                "linked: needs vectors of the gallery's users in the probes' space, got none"
            )
        here_means, there_means = (
            user_means(vectors, gallery.user_row) for vectors in (gallery.vectors, gallery.there)
        )
        if len(here_means) <= self.num_known:
            raise ValueError(
                f"linked: num_known must be below the number of gallery users, "
                f"{len(here_means)}, got {self.num_known}"
            )
        # Drawn in the order of their vectors, so that the numbering of users does not matter.
        drawn = rng.choice(len(here_means), self.num_known, replace=False)
        self.known_row = np.sort(np.lexsort(here_means.T)[drawn])
        known_here, known_there = here_means[self.known_row], there_means[self.known_row]
        self.here_center, self.there_center = known_here.mean(axis=0), known_there.mean(axis=0)
        there_axes, strength, here_axes = svd(
            (known_there - self.there_center).T @ (known_here - self.here_center),
            full_matrices=False,
        )
        # As numpy.linalg.matrix_rank counts: the rest is rounding error, and its axes arbitrary.
        least = strength[0] * max(there_means.shape[1], here_means.shape[1]) * np.finfo(float).eps
        rank = max(1, np.count_nonzero(strength > least))
        self.there_axes, self.here_axes = there_axes[:, :rank], here_axes[:rank].T

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coordinates of gallery vectors on the shared axes: ``(g, d) -> (g, axes)``."""
        embedded: NDArray[np.float32] = ((vectors - self.here_center) @ self.here_axes).astype(
            np.float32
        )
        return embedded

    def ranks(
        self,
        probe: NDArray[np.float32],
        gallery: NDArray[np.float32],
        true_row: NDArray[np.int64],
    ) -> Ranks:
        """Exact rank of the true user of every probe.

        Parameters
        ----------
        probe : (n, d2)
            In the probes' space.
        gallery : (g, d)
            In the gallery's space.
        true_row : (n,)

        Returns
        -------
        Ranks

        Raises
        ------
        ValueError
            If ``fit`` was not called before.
        """
        return super().ranks(self._carry(probe), gallery, true_row)

    def best(self, probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest cosine of every probe after the alignment, ``(n,)``."""
        return super().best(self._carry(probe), gallery)

    def _carry(self, probe: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring probes to the gallery's space, where their part on the shared axes lies."""
        if not self.known_row.size:
            raise ValueError("linked: the two spaces are not aligned; call fit first")
        axes = (probe - self.there_center) @ self.there_axes
        carried: NDArray[np.float32] = (axes @ self.here_axes.T + self.here_center).astype(
            np.float32
        )
        return carried
