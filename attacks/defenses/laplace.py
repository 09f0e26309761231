"""Clipping, and multivariate Laplace noise: metric privacy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.base import Defense, MetricCertificate
from attacks.defenses.clipping import check_quantile, enclosing
from attacks.gallery import Released


class Laplace(Defense):
    """Clips vectors and adds noise with density proportional to exp(-epsilon |z| / R).

    Its direction is uniform and its length Gamma distributed with shape d and scale R / epsilon.
    The release is metric-private: it tells two vectors at distance t apart by at most a factor of
    exp(epsilon t / R) in likelihood. Clipping brings no two vectors farther apart, so that this
    holds for the vectors as they were, and 2 epsilon bounds it for any two.

    It costs much: the length of the noise is about d R / epsilon, so that in 64 dimensions an
    epsilon of 64 per radius still adds noise as long as the radius. It protects near vectors from
    being told apart, whatever else an attacker knows.

    It does not protect vectors that are far from each other, and m releases, or m like events of a
    user, spend m times epsilon. Epsilon means nothing without its unit of distance, which here is
    always R, and is not that of differential privacy: the protection is spread over d dimensions
    and decreases as d grows.

    Parameters
    ----------
    epsilon_per_radius
        Loss of privacy at a distance of R, the ``quantile`` of the train vectors' distances to
        their mean; above 0.
    quantile
        Share of the train vectors that lie within R, above 0, at most 1.

    References
    ----------
    Miguel E. Andres, Nicolas E. Bordenabe, Konstantinos Chatzikokolakis, Catuscia Palamidessi,
    Geo-indistinguishability: Differential Privacy for Location-based Systems, ACM Conference on
    Computer and Communications Security, 2013 (the mechanism in the plane).

    Konstantinos Chatzikokolakis, Miguel E. Andres, Nicolas E. Bordenabe, Catuscia Palamidessi,
    Broadening the Scope of Differential Privacy Using Metrics, Privacy Enhancing Technologies,
    2013 (d_X privacy).

    Oluwaseyi Feyisetan, Borja Balle, Thomas Drake, Tom Diethe, Privacy- and Utility-Preserving
    Textual Analysis via Calibrated Multivariate Perturbations, International Conference on Web
    Search and Data Mining, 2020 (the same noise on embeddings).
    """

    def __init__(self, *, epsilon_per_radius: float = 64.0, quantile: float = 0.95) -> None:
        if not 0 < epsilon_per_radius < math.inf:
            raise ValueError(
                f"laplace: epsilon_per_radius: found {epsilon_per_radius}, allowed: above 0"
            )
        check_quantile(quantile, "laplace")
        self.epsilon_per_radius = epsilon_per_radius
        self.quantile = quantile

    def fit(self, released: Released, rng: np.random.Generator) -> None:
        """Fit center and radius of the ball; ``rng`` is unused.

        Parameters
        ----------
        released
            Vectors of the train window's trained users.
        rng

        Raises
        ------
        ValueError
            If there are no vectors or R is 0.
        """
        self.ball = enclosing(released.vectors, self.quantile, "laplace")

    @property
    def scale(self) -> float:
        """R / epsilon, in the unit of the vectors."""
        return self.ball.radius / self.epsilon_per_radius

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Clip and add fresh noise to every vector: ``(n, d) -> (n, d)``."""
        n, d = released.vectors.shape
        vectors = rng.standard_normal((n, d), np.float32)
        length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        factor = rng.gamma(d, self.scale, n) / np.maximum(length, np.finfo(np.float32).tiny)
        vectors *= factor.astype(np.float32)[:, None]
        vectors += self.ball.clip(released.vectors)
        return vectors

    def noise(self, num_releases: int = 1) -> NDArray[np.float64]:
        """Covariance of the noise in the mean of several releases, ``(d, d)``.

        That of one release is (d + 1) (R / epsilon)^2 on the diagonal.
        """
        dimensions = len(self.ball.center)
        # The mean squared length of Gamma(d) is d (d + 1), shared by d axes.
        return (dimensions + 1) * self.scale**2 / num_releases * np.eye(dimensions)

    def certificate(self) -> MetricCertificate:
        """Return R and epsilon per unit of the vectors."""
        return MetricCertificate(
            self.ball.radius,
            1 / self.scale,
            "center and R are public and come from the train window alone, every released vector "
            "has noise of its own, and real numbers stand for floats",
        )
