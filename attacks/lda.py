"""Nearest neighbor in the directions that tell users apart."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from attacks.base import Attack, Metric
from attacks.gallery import Gallery
from attacks.ranks.means import user_means

FLOOR = 1e-6
"""Least within-user variance of an axis, in units of the users' mean variance: an axis along which
nobody's events differ would weigh infinitely, and float32 resolves no more."""


class Discriminant(NamedTuple):
    """Linear map after which a user's events scatter by 1 in every direction.

    Attributes
    ----------
    center : (d,)
        Mean of the users' means.
    transform : (d, d)
        ``(vectors - center) @ transform`` are coordinates on the axes, the most telling one first.
    between : (d,)
        Variance of the users' true positions on each axis, at least 0: what remains of the
        variance of their means once the scatter of their events is taken off.
    """

    center: NDArray[np.float64]
    transform: NDArray[np.float64]
    between: NDArray[np.float64]


def discriminant(vectors: NDArray[np.float32], user_row: NDArray[np.int64]) -> Discriminant:
    """Fit Fisher's discriminant axes to gallery events.

    Events are taken to scatter alike around every user, and the users' means weigh equally.

    Parameters
    ----------
    vectors : (m, d)
    user_row : (m,)

    Returns
    -------
    Discriminant

    Raises
    ------
    ValueError
        If there are fewer than 2 gallery users, or none has 2 vectors.
    """
    means = user_means(vectors, user_row)
    counts = np.bincount(user_row)
    repeated = counts[user_row] > 1
    if len(means) < 2 or not repeated.any():
        raise ValueError(
            f"within-user scatter needs 2 gallery users and 2 vectors of one of them, "
            f"got {len(means)} users with at most {counts.max()}"
        )
    deviation = vectors[repeated] - means[user_row[repeated]]
    freedom = len(deviation) - np.count_nonzero(counts > 1)
    within = ledoit_wolf(deviation, assume_centered=True)[0] * (len(deviation) / freedom)
    center = means.mean(axis=0)
    total = (means - center).T @ (means - center) / (len(means) - 1)
    variance, axes = np.linalg.eigh(within)
    floor = FLOOR * np.trace(total) / len(total)
    # Users who are all alike leave both scatters empty; any scale then does.
    whiten = axes / np.sqrt(variance.clip(min=floor or 1.0))
    spread, rotation = np.linalg.eigh(whiten.T @ total @ whiten)
    noise = np.mean(1 / counts)
    return Discriminant(center, whiten @ rotation[:, ::-1], (spread[::-1] - noise).clip(min=0))


class Lda(Attack):
    """Names the gallery user nearest to the probe in units of how events scatter around a user.

    The adversary holds several released vectors of known users and wants the user behind each
    anonymous vector of the same release. It learns from the known users in which directions one
    person's vectors vary, say with the item or the hour, and plays those down; its axes are
    Fisher's, and dropping the last ones drops those on which users barely differ.

    Distance, not angle: if events scatter alike and normally around every user, the nearest user
    is the one under whom the probe is most likely, while the angle would also forgive a
    difference in length.

    Parameters
    ----------
    dimensions
        Axes kept, at least 1; all of them by default.

    References
    ----------
    Ronald A. Fisher, The Use of Multiple Measurements in Taxonomic Problems, Annals of Eugenics,
    1936.

    Najim Dehak, Patrick J. Kenny, Reda Dehak, Pierre Dumouchel, Pierre Ouellet, Front-End Factor
    Analysis for Speaker Verification, IEEE Transactions on Audio, Speech, and Language Processing,
    2011 (the same axes on embeddings, against session noise).

    Olivier Ledoit, Michael Wolf, A Well-Conditioned Estimator for Large-Dimensional Covariance
    Matrices, Journal of Multivariate Analysis, 2004 (the shrinkage of the scatter).
    """

    metric: ClassVar[Metric] = "euclidean"
    plain: ClassVar[bool] = True

    def __init__(self, *, dimensions: int | None = None) -> None:
        if dimensions is not None and dimensions < 1:
            raise ValueError(f"lda: dimensions must be at least 1, got {dimensions}")
        self.dimensions = dimensions

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Fit the axes; ``rng`` is unused.

        Parameters
        ----------
        gallery
            Vectors of known users.
        rng

        Raises
        ------
        ValueError
            If there are fewer than 2 gallery users, or none has 2 vectors.
        """
        vectors, user_row = gallery.vectors, gallery.user_row
        self.center, transform, _ = discriminant(vectors, user_row)
        self.transform = transform[:, : self.dimensions]

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coordinates on the axes, in float64 and rounded once: ``(n, d) -> (n, dimensions)``."""
        embedded: NDArray[np.float32] = ((vectors - self.center) @ self.transform).astype(
            np.float32
        )
        return embedded
