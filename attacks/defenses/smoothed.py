"""The mean of several noisy draws of every vector, and a certified radius of its predictions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from attacks.defenses.gaussian import Gaussian
from attacks.gallery import Released


class Smoothed(Gaussian):
    """Clips vectors, draws Gaussian noise several times and releases the mean of the draws.

    This is randomized smoothing with calibrated noise on representations. The mean of n draws is
    drawn as what it is: the vector with noise of sigma / sqrt(n).

    It costs little AUC, since averaging removes most of the noise again. It protects predictions:
    the majority over the draws is certified not to change within a radius (`certified`).

    It does not protect anonymity any more than `gaussian` with sigma / sqrt(n): Cohen et al.
    certify predictions, and what they show to be stable is the very vector that identifies. The
    more draws, the better the prediction's certificate and the worse the identity's.

    Parameters
    ----------
    sigma_per_radius
        Standard deviation of a draw's noise along each axis, in units of R, the ``quantile`` of the
        train vectors' distances to their mean; at least 0.
    draws
        Noisy draws of each vector, at least 1.
    quantile
        Share of the train vectors that lie within R, above 0, at most 1.

    References
    ----------
    Jeremy Cohen, Elan Rosenfeld, J. Zico Kolter, Certified Adversarial Robustness via Randomized
    Smoothing, International Conference on Machine Learning, 2019.
    """

    def __init__(
        self, *, sigma_per_radius: float = 0.5, draws: int = 100, quantile: float = 0.95
    ) -> None:
        super().__init__(sigma_per_radius=sigma_per_radius, quantile=quantile)
        if draws < 1:
            raise ValueError(f"smoothed: draws: found {draws}, allowed: at least 1")
        self.draws = draws

    @property
    def sigma(self) -> float:
        """Standard deviation of a release's noise along each axis, in the unit of the vectors."""
        return self.sigma_of_draw / math.sqrt(self.draws)

    @property
    def sigma_of_draw(self) -> float:
        """Standard deviation of a single draw's noise along each axis."""
        return self.sigma_per_radius * self.ball.radius

    def certified(
        self,
        released: Released,
        predict: Callable[[NDArray[np.float32]], NDArray[np.bool_]],
        rng: np.random.Generator,
        *,
        confidence: float = 0.999,
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Predict by majority over noisy draws, and say how far a vector may move.

        The majority is taken on as many draws as it is certified on, and not on the same ones.

        Parameters
        ----------
        released
            Vectors ``(n, d)`` of any users.
        predict
            Decision on vectors, ``(n, d) -> (n,)``.
        rng
        confidence
            With which each radius holds, in (0, 1).

        Returns
        -------
        decided : (n,)
            What most draws say.
        radius : (n,)
            No vector closer than this, after clipping, has another majority; 0 abstains.
        """
        center = self.ball.clip(released.vectors)

        def count() -> NDArray[np.int64]:
            votes = np.zeros(len(center), np.int64)
            for _ in range(self.draws):
                drawn = rng.standard_normal(center.shape, np.float32)
                drawn *= np.float32(self.sigma_of_draw)
                votes += predict(drawn + center)
            return votes

        decided = count() * 2 > self.draws
        votes = count()
        agreeing = np.where(decided, votes, self.draws - votes)
        return decided, certified_radius(agreeing, self.draws, self.sigma_of_draw, confidence)


def certified_radius(
    agreeing: NDArray[np.int64], draws: int, sigma: float, confidence: float = 0.999
) -> NDArray[np.float64]:
    """How far a vector may move before the majority over noisy draws changes.

    It is sigma * Phi^-1(p), where p is the lower Clopper-Pearson bound of the probability that a
    draw agrees; two classes, or the decided one against all others.

    Parameters
    ----------
    agreeing : (n,)
        Draws with the decided class, which was decided on other draws.
    draws
        All of them.
    sigma
        Standard deviation of the noise along each axis.
    confidence
        With which each radius holds, in (0, 1).

    Returns
    -------
    (n,)
        In the unit of ``sigma``; 0 where no majority is certain.

    References
    ----------
    Cohen, Rosenfeld, Kolter, Certified Adversarial Robustness via Randomized Smoothing, ICML 2019,
    theorem 1 and procedure CERTIFY.
    """
    least = np.where(agreeing > 0, beta.ppf(1 - confidence, agreeing, draws - agreeing + 1), 0.0)
    radius: NDArray[np.float64] = sigma * norm.ppf(np.maximum(least, 0.5))
    return radius
