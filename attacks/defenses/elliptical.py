"""Clipping, and Gaussian noise that is larger where the task does not read."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attacks.defenses.base import Certificate
from attacks.defenses.gaussian import Gaussian
from attacks.defenses.heads import task_axes
from attacks.gallery import Released


class Elliptical(Gaussian):
    """Clips vectors and adds Gaussian noise, most of it in directions that no label's head uses.

    The heads are logistic regressions of the labels on the train vectors. The noise along every
    direction outside their span is ``ratio`` times that within it, and its total variance is that
    of `gaussian` with the same sigma / R: d sigma^2.

    It costs less AUC than `gaussian` with as much noise, for the labels that it was fitted to, and
    more for any other. It protects what identifies outside the task's directions, by the same
    noise that the task pays nothing for.

    It does not protect what the heads' directions say of a user beyond the smaller noise there,
    and that is all that its certificate counts on, since a rival may differ in those directions
    alone. Repeated releases average out as those of `gaussian` do.

    Parameters
    ----------
    sigma_per_radius
        Root mean square over all axes of the noise's standard deviation, in units of R, the
        ``quantile`` of the train vectors' distances to their mean; at least 0.
    ratio
        Standard deviation outside the span of the heads over that within, above 0; 1 is
        `gaussian`.
    quantile
        Share of the train vectors that lie within R, above 0, at most 1.

    References
    ----------
    Chao Li, Gerome Miklau, Michael Hay, Andrew McGregor, Vibhor Rastogi, The Matrix Mechanism:
    Optimizing Linear Counting Queries under Differential Privacy, The VLDB Journal, 2015 (noise
    shaped by what will be asked).

    Aleksandar Nikolov, Kunal Talwar, Li Zhang, The Geometry of Differential Privacy: The Sparse
    and Approximate Cases, ACM Symposium on Theory of Computing, 2013 (Gaussian noise of
    ellipsoidal shape).
    """

    def __init__(
        self, *, sigma_per_radius: float = 0.5, ratio: float = 10.0, quantile: float = 0.95
    ) -> None:
        super().__init__(sigma_per_radius=sigma_per_radius, quantile=quantile)
        if not 0 < ratio < math.inf:
            raise ValueError(f"elliptical: ratio: found {ratio}, allowed: above 0")
        self.ratio = ratio

    def fit(self, released: Released, rng: np.random.Generator) -> None:
        """Fit the ball and the heads.

        Parameters
        ----------
        released
            Vectors of the train window's trained users, and their labels.
        rng
            Draws the vectors to fit the heads on where there are too many.

        Raises
        ------
        ValueError
            If there are no vectors, R is 0, labels are not known or one has a single class.
        """
        super().fit(released, rng)
        self.task = task_axes(released, self.name, rng)

    @property
    def sigma_of_task(self) -> float:
        """Standard deviation within the span of the heads, in the unit of the vectors."""
        dimensions, used = self.task.shape
        mean_square = (used + (dimensions - used) * self.ratio**2) / dimensions
        return self.sigma / math.sqrt(mean_square)

    def observed(
        self,
        released: Released,
        num_releases: int | NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return the mean of several releases, ``(n, d)``, drawn as one with less noise.

        Parameters
        ----------
        released
        num_releases : () or (n,)
        rng
        """
        vectors = rng.standard_normal(released.vectors.shape, np.float32)
        task = self.task.astype(np.float32)
        vectors += (vectors @ task) @ (task.T * np.float32(1 / self.ratio - 1))
        sigma = self.sigma_of_task * self.ratio / np.sqrt(np.atleast_1d(num_releases))
        vectors *= sigma.astype(np.float32)[:, None]
        vectors += self.ball.clip(released.vectors)
        return vectors

    def noise(self, num_releases: int = 1) -> NDArray[np.float64]:
        """Covariance of the noise in the mean of several releases, ``(d, d)``."""
        used = self.task @ self.task.T
        free = np.eye(len(used)) - used
        one: NDArray[np.float64] = self.sigma_of_task**2 * (used + self.ratio**2 * free)
        return (one + one.T) / (2 * num_releases)

    def certificate(self) -> Certificate | None:
        """Return R and the smallest sigma of any direction; None without noise."""
        stated = super().certificate()
        if stated is None:
            return None
        # More noise in some directions is the smallest one in all and further noise on top.
        everywhere = len(self.task) == self.task.shape[1]
        smallest = self.sigma_of_task * (1 if everywhere else min(1, self.ratio))
        return Certificate(stated.radius, smallest, stated.assumes)
