"""Removal of the directions that identify users."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from attacks.defenses.fixed import Fixed
from attacks.defenses.linear import affine, check_directions
from attacks.gallery import Released
from attacks.lda import discriminant
from attacks.ranks.means import user_means

RIDGE = 1e-3
"""Added to the covariance that a linear classifier inverts, in units of the mean variance."""

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


class Erased(Fixed):
    """Removes the directions of the vectors that best tell the train window's users apart.

    `leace` removes the strongest canonical directions between vectors and users, by an oblique
    projection that leaves the others uncorrelated with what is gone; with as many directions as
    users less one, no linear classifier of users does better than a constant. `inlp` fits a ridge
    classifier of all users, projects out the direction in which its scores vary most, and does so
    again. `fisher` projects out the axes of the largest variance between users in units of that
    within.

    It costs the AUC that lies in those directions: what is stable in a person is what a model
    predicts from. It protects against linear readings of what identified the train window's users.

    It does not protect what the remaining directions say, which a nearest neighbor still reads:
    thousands of users need all directions, and no small number of them is identity. Nor does it
    protect against classifiers that are not linear. There is no noise and no certificate.

    Parameters
    ----------
    by
        How directions are found and removed: ``leace``, ``inlp`` or ``fisher``.
    directions
        How many are removed, from 0 to the dimensions of the vectors.

    References
    ----------
    Nora Belrose, David Schneider-Joseph, Shauli Ravfogel, Ryan Cotterell, Edward Raff, Stella
    Biderman, LEACE: Perfect Linear Concept Erasure in Closed Form, Advances in Neural Information
    Processing Systems, 2023.

    Shauli Ravfogel, Yanai Elazar, Hila Gonen, Michael Twiton, Yoav Goldberg, Null It Out: Guarding
    Protected Attributes by Iterative Nullspace Projection, Annual Meeting of the Association for
    Computational Linguistics, 2020.

    Ronald A. Fisher, The Use of Multiple Measurements in Taxonomic Problems, Annals of Eugenics,
    1936.
    """

    def __init__(
        self, *, by: Literal["leace", "inlp", "fisher"] = "leace", directions: int = 4
    ) -> None:
        if by not in ("leace", "inlp", "fisher"):
            raise ValueError(f"erased: by: found {by!r}, allowed: leace, inlp or fisher")
        if directions < 0:
            raise ValueError(f"erased: directions: found {directions}, allowed: at least 0")
        self.by = by
        self.directions = directions

    def fit(self, released: Released, rng: np.random.Generator) -> None:
        """Fit the mean and what is removed; ``rng`` is unused.

        Parameters
        ----------
        released
            Vectors of the train window's trained users.
        rng

        Raises
        ------
        ValueError
            If there are fewer dimensions than directions, fewer than 2 users, or, for ``fisher``,
            no user has 2 vectors.
        """
        vectors = released.vectors
        check_directions(self.directions, vectors.shape[1], "erased", "directions")
        users, user_row, counts = np.unique(
            released.user_row, return_inverse=True, return_counts=True
        )
        if len(users) < 2:
            raise ValueError(f"erased: found {len(users)} train users, allowed: at least 2")
        if self.by == "fisher" and counts.max() < 2:
            raise ValueError("erased: by fisher: found 1 vector of each train user, allowed: 2")
        center = vectors.mean(axis=0, dtype=np.float64)
        if self.by == "fisher":
            axes = discriminant(vectors, user_row).transform[:, : self.directions]
            matrix = _without(axes)
        else:
            moments = _moments(vectors, user_row, center)
            matrix = (_leace if self.by == "leace" else _inlp)(*moments, self.directions)
        self.map = affine(vectors, center, matrix)

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Remove the directions: ``(n, d) -> (n, d)``; ``rng`` is unused."""
        return self.map.of(released.vectors)


def _moments(
    vectors: NDArray[np.float32], user_row: NDArray[np.int64], center: NDArray[np.float64]
) -> Moments:
    """Covariance of the vectors, and that of their users' means, each event weighing equally."""
    offset = vectors - center
    share = np.bincount(user_row) / len(user_row)
    means = user_means(vectors, user_row) - center
    return offset.T @ offset / len(offset), (means.T * share) @ means


def _leace(
    total: NDArray[np.float64], between: NDArray[np.float64], directions: int
) -> NDArray[np.float64]:
    variance, axes = np.linalg.eigh(total)
    real = variance > 1e-12 * variance.max(initial=0)
    root = np.sqrt(variance[real])
    whiten, color = axes[:, real] / root, (axes[:, real] * root).T
    telling = np.linalg.eigh(whiten.T @ between @ whiten)[1][:, ::-1][:, :directions]
    removed: NDArray[np.float64] = whiten @ telling @ telling.T @ color
    return np.eye(len(total)) - removed


def _inlp(
    total: NDArray[np.float64], between: NDArray[np.float64], directions: int
) -> NDArray[np.float64]:
    ridge = RIDGE * (np.trace(total) or 1.0) / len(total)
    left = np.eye(len(total))
    for _ in range(directions):
        among, within = (left.T @ moment @ left for moment in (between, total))
        # The ridge classifier's weights are W = S^-1 C, where S is the covariance of the vectors
        # with the ridge and C that with the users, C C' = between. Of all directions W v, the one
        # whose scores vary most solves between w = t S w with the largest t.
        strongest = eigh(among, within + ridge * np.eye(len(within)))[1][:, -1:]
        left = left @ np.linalg.qr(strongest, mode="complete")[0][:, 1:]
    return left @ left.T


def _without(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthogonal projection that removes the span of axes ``(d, k)``."""
    span: NDArray[np.float64] = np.linalg.qr(axes)[0]
    return np.eye(len(axes)) - span @ span.T
