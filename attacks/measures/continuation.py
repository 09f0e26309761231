"""The curve of top-1 over gallery sizes, continued beyond some size, and each user's part in it.

Everything is linear in the users' credits to first order, so that a forecast's sampling variance
needs no fit but one.

Shape letters: u users, s gallery sizes, t target sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax

from attacks.measures.law import PARTIAL, UNEQUAL, Fit, fit, law_of
from attacks.measures.metrics import top1_credit_at
from attacks.ranks.exact import Ranks

Values = NDArray[np.float64]

NUM_SIZES = 8
"""Gallery sizes that the law is fitted to, evenly spaced in the logarithm. The points of a curve
rise and fall together, so that more of them hardly say more."""

FITTED_RANGE = 10.0
"""The largest fitted size over the smallest: the stretch of the curve next to the forecast."""

LAW_ERROR = 1e-3
"""Relative error that each point of the law is granted; it keeps the covariance regular."""


STEP = 1e-3
"""Of each parameter, where the law is differentiated."""


class At(NamedTuple):
    """Log odds ``(t,)``, each user's influence on them ``(u, t)``, variance left open ``(t,)``."""

    value: Values
    influence: Values
    left_open: Values

    @property
    def variance(self) -> Values:
        """Of all that is known from the curve itself, ``(t,)``."""
        variance: Values = (self.influence**2).sum(axis=0) + self.left_open
        return variance


class Continued:
    """The curve up to some size continued by two laws, weighted by the evidence for each.

    Attributes
    ----------
    fits
        The law for users who may be no competitors, and for probes that differ in how hard.
    share : (2,)
        Their weights, which add up to 1.
    influence : (2, u, 4)
        Of each user on each law's parameters.
    """

    def __init__(self, fits: Sequence[Fit], influence: Values) -> None:
        self.fits = fits
        self.share = softmax([one.log_evidence for one in fits])
        self.influence = np.array([influence @ one.gain.T for one in fits])

    def at(self, sizes: Values) -> At:
        """Log odds of top-1 in galleries of ``(t,)`` sizes."""
        value, effect, unknown = [], [], []
        for one, influence in zip(self.fits, self.influence, strict=True):
            steps = [
                _log_odds(one.parameters + step, sizes) - _log_odds(one.parameters - step, sizes)
                for step in STEP * np.eye(4)
            ]
            slope = np.array(steps) / (2 * STEP)
            value.append(_log_odds(one.parameters, sizes))
            effect.append(influence @ slope)
            left = one.covariance - influence.T @ influence
            unknown.append(np.einsum("pt,pq,qt->t", slope, left, slope).clip(0.0))
        mean = self.share @ value
        between = self.share @ (np.array(value) - mean) ** 2
        return At(
            mean,
            np.tensordot(self.share, effect, 1),
            self.share @ unknown + between,
        )


class Backtest(NamedTuple):
    """A forecast from ``size`` users to the gallery itself, with the error of its log odds."""

    size: int
    top1: float
    error: float


class Seen:
    """Probes with their exact curve, which each user's credit decides."""

    def __init__(self, ranks: Ranks, user: NDArray[Any], num_gallery: int) -> None:
        self.ranks, self.num_gallery = ranks, num_gallery
        name, self.user_row = np.unique(user, return_inverse=True)
        self.num_users = len(name)

    def relative(self, size: int) -> tuple[float, Values]:
        """Top-1 among ``size`` users, and each user's influence on its logarithm, ``(u,)``."""
        credit = top1_credit_at(self.ranks, self.num_gallery, size)
        top1 = float(credit.mean())
        return top1, np.bincount(self.user_row, credit / top1 - 1) / len(credit)

    def continued(self, largest: int, near: Continued | None = None) -> Continued:
        """Fit the laws to the stretch of the curve up to ``largest``."""
        smallest = max(2.0, largest / FITTED_RANGE)
        sizes = np.unique(np.geomspace(smallest, largest, NUM_SIZES).round().astype(np.int64))
        points = [self.relative(size) for size in sizes.tolist()]
        top1 = np.array([value for value, _ in points])
        influence = np.column_stack([one for _, one in points])
        covariance = influence.T @ influence + LAW_ERROR**2 * np.eye(len(sizes))
        fits = [
            fit(
                sizes,
                top1,
                covariance,
                spread,
                None if near is None else near.fits[number].parameters,
            )
            for number, spread in enumerate((PARTIAL, UNEQUAL))
        ]
        return Continued(fits, influence)

    def test(self, size: int, near: Continued) -> Backtest:
        """Forecast from ``size`` users to the gallery itself."""
        value = self.continued(size, near).at(np.array([float(self.num_gallery)])).value[0]
        top1, _ = self.relative(self.num_gallery)
        return Backtest(size, float(expit(value)), abs(float(value - logit(top1))))


def _log_odds(parameters: Values, sizes: Values) -> Values:
    # A law so near to 1 that its odds overflow would make every slope NaN.
    odds: Values = logit(np.minimum(law_of(parameters).top1(sizes), 1 - 1e-12))
    return odds
