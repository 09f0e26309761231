"""Nearest neighbor by Mahalanobis distance."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from attacks.base import Attack, Metric
from attacks.gallery import Gallery
from attacks.ranks.means import user_means


class Whitened(Attack):
    """Names the gallery user nearest to the probe once all directions vary equally among users.

    The adversary holds one released vector per known user and wants the user behind each
    anonymous vector of the same release. It knows that a direction in which all users differ
    widely, such as overall activity, drowns the others in a plain distance, and divides it out:
    the covariance of the gallery users' means, shrunk, becomes the identity. Users weigh equally,
    however many events each has. It needs only one vector per user.

    References
    ----------
    Prasanta C. Mahalanobis, On the Generalised Distance in Statistics, Proceedings of the
    National Institute of Sciences of India, 1936.

    Olivier Ledoit, Michael Wolf, A Well-Conditioned Estimator for Large-Dimensional Covariance
    Matrices, Journal of Multivariate Analysis, 2004 (the strength of the shrinkage).
    """

    metric: ClassVar[Metric] = "euclidean"
    plain: ClassVar[bool] = True

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        """Estimate the covariance of the users' means; ``rng`` is unused.

        Parameters
        ----------
        gallery
            Vectors of known users.
        rng

        Raises
        ------
        ValueError
            If there are fewer than 2 gallery users.
        """
        vectors, user_row = gallery.vectors, gallery.user_row
        means = user_means(vectors, user_row)
        if len(means) < 2:
            raise ValueError(f"whitened: the gallery must hold 2 users or more, got {len(means)}")
        self.center = means.mean(axis=0)
        covariance, _ = ledoit_wolf(means - self.center, assume_centered=True)
        variance, axes = np.linalg.eigh(covariance)
        # Only a gallery of identical users has no variance; there is nothing to tell apart.
        scale = np.zeros_like(variance)
        np.divide(1, np.sqrt(variance.clip(min=0)), out=scale, where=variance > 0)
        self.transform = axes * scale

    def embed(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Center and whiten, in float64 and rounded once: ``(n, d) -> (n, d)``."""
        embedded: NDArray[np.float32] = ((vectors - self.center) @ self.transform).astype(
            np.float32
        )
        return embedded
