"""Clipping, and Gaussian noise in proportion to the radius."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.base import Certificate, Defense
from attacks.defenses.clipping import check_quantile, enclosing
from attacks.gallery import Released


class Gaussian(Defense):
    """Clips vectors to a ball about the train mean and adds independent Gaussian noise.

    The noise is stated as sigma / R: R is a quantile of the train vectors' distances to their
    mean, so that longer vectors get more noise. In d dimensions the noise has a length of about
    sigma * sqrt(d), while a head that reads one direction meets sigma alone: that is why noise
    costs identity more than utility.

    It costs what the task's directions lose in the noise, and the length of the clipped vectors.
    It protects every released vector from every attacker, by a bound on the rate of top-1 and
    top-k that no knowledge or computation beats (`certificate`).

    It does not protect those who release again and again: the mean of m releases has noise of
    sigma / sqrt(m), and so has the mean of m events of a user that hardly differ. The last bits
    of a float32 sum may tell more than the real numbers of the proof.

    Parameters
    ----------
    sigma_per_radius
        Standard deviation of the noise along each axis, in units of R; at least 0.
    quantile
        Share of the train vectors that lie within R, above 0, at most 1.

    References
    ----------
    Cynthia Dwork, Aaron Roth, The Algorithmic Foundations of Differential Privacy, Foundations and
    Trends in Theoretical Computer Science, 2014 (clipping and the Gaussian mechanism).

    CJ Carey, Travis Dick, Alessandro Epasto, Adel Javanmard, Josh Karlin, Shankar Kumar, Andres
    Munoz Medina, Vahab Mirrokni, Gabriel Henrique Nunes, Sergei Vassilvitskii, Peilin Zhong,
    Measuring Re-identification Risk, arXiv 2304.07210, 2023 (the bound for representations).

    Ilya Mironov, On Significance of the Least Significant Bits for Differential Privacy, ACM
    Conference on Computer and Communications Security, 2012.
    """

    def __init__(self, *, sigma_per_radius: float = 0.5, quantile: float = 0.95) -> None:
        self.name = type(self).__name__.lower()
        if not 0 <= sigma_per_radius < math.inf:
            raise ValueError(
                f"{self.name}: sigma_per_radius: found {sigma_per_radius}, allowed: at least 0"
            )
        check_quantile(quantile, self.name)
        self.sigma_per_radius = sigma_per_radius
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
        self.ball = enclosing(released.vectors, self.quantile, self.name)

    @property
    def sigma(self) -> float:
        """Standard deviation of a release's noise along each axis, in the unit of the vectors."""
        return self.sigma_per_radius * self.ball.radius

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        """Clip and add fresh noise to every vector: ``(n, d) -> (n, d)``."""
        return self.observed(released, 1, rng)

    def observed(
        self,
        released: Released,
        num_releases: int | NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return the mean of several releases, ``(n, d)``.

        It has the distribution of one release whose noise is smaller by the root of their number,
        and is drawn as such.

        Parameters
        ----------
        released
        num_releases : () or (n,)
        rng
        """
        vectors = rng.standard_normal(released.vectors.shape, np.float32)
        vectors *= (self.sigma / np.sqrt(np.atleast_1d(num_releases))).astype(np.float32)[:, None]
        vectors += self.ball.clip(released.vectors)
        return vectors

    def noise(self, num_releases: int = 1) -> NDArray[np.float64]:
        """Covariance of the noise in the mean of several releases, ``(d, d)``."""
        return self.sigma**2 / num_releases * np.eye(len(self.ball.center))

    def certificate(self) -> Certificate | None:
        """Return R and sigma; None without noise."""
        if not self.sigma > 0:
            return None
        return Certificate(
            self.ball.radius,
            self.sigma,
            "center and R are public and come from the train window alone, every released vector "
            "has noise of its own, and real numbers stand for floats",
        )
