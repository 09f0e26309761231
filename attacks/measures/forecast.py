"""How top-1 falls as the gallery grows: exactly up to its size, by a law beyond it.

The exact curve needs no law: a random smaller gallery that keeps the true user is a matter of
counting. Beyond the gallery, k(n), the rate of rank 1 among n users, is taken to follow

    k(n) = E[(1 - U B)^(n - 1)],    U uniform on (0, 1), B ~ Beta(1 - d, c + d),

a law with two parameters, discount d < 1 and concentration c > -d. In words: another user is
closer than the true one with a probability U B of the probe's own, independently for each of the
n - 1 others. It is 1 at n = 1 and falls no faster than chance, 1 / n. Where vectors match exactly
or not at all, B is the share of people who have the probe's vector and U the order of the tie;
with shares from a Pitman-Yor process B has just this distribution and n k(n) is the expected
number of distinct vectors among n people. That is the closed form used:

    n k(n) = [G(c + 1) G(n + c + d) / (G(c + d) G(n + c)) - c] / d,    G the gamma function.

No law is certain beyond the data, so each forecast is first made where the answer is known: the
same growth from a smaller gallery to this one. Its error there widens the interval.

Shape letters: n probes, s gallery sizes, t target sizes.

References
----------
Luc Rocher, Julien M. Hendrickx, Yves-Alexandre de Montjoye, A scaling law to model the
effectiveness of identification techniques, Nature Communications, 2025 (the law, there with
d >= 0; a negative d is a finite number of distinct vectors).
Jim Pitman, Combinatorial Stochastic Processes, Springer, 2006, section 3.2 (size-biased shares).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import approx_fprime, least_squares
from scipy.special import digamma, expit, logit, poch

from attacks.measures.bootstrap import FEW_USERS, bootstrap
from attacks.measures.metrics import top1_credit_at, top_credit
from attacks.ranks.exact import Ranks

Values = NDArray[np.float64]

NUM_SIZES = 16
"""Gallery sizes that the law is fitted to, evenly spaced in the logarithm."""

FITTED_DECADES = 10.0
"""The largest fitted size over the smallest: the nearest stretch of the curve. Fits to all sizes
strayed up to twice as far on Gaussian vectors, where the law is only an approximation."""

SMALLEST_TEST = 20
"""Users in the smallest gallery that a forecast is tried from."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)


class Law(NamedTuple):
    """Two parameters of the law: discount below 1, concentration above minus the discount."""

    discount: float
    concentration: float

    def top1(self, num_gallery: NDArray[Any]) -> Values:
        """Rate of rank 1 in galleries of so many users, ``(s,) -> (s,)`` in (0, 1]."""
        n = num_gallery.astype(np.float64)
        c = self.concentration
        # At d = 0 the closed form is 0 / 0; this close to it, it changes by less than 1e-4.
        d = self.discount if abs(self.discount) > 1e-6 else 1e-6
        if min(c, c + d) < 1:
            excess = poch(c + d, 1 - d) * poch(n + c, d) - c
        else:
            # The difference of nearly equal numbers as an integral, d log G = digamma.
            at = c + d * (1 + NODES) / 2
            slope = (digamma(n[..., None] + at) - digamma(at)) * WEIGHTS
            excess = c * np.expm1(d / 2 * slope.sum(axis=-1))
        rate: Values = np.clip(excess / (d * n), 1 / n, 1.0)
        return rate


@dataclass(frozen=True)
class Forecast:
    """Top-1 expected in a larger gallery.

    Attributes
    ----------
    num_gallery
        Its users.
    top1, top1_low, top1_high
        In [0, 1]. The interval covers which users were seen and, as far as the test shows, that
        the law is not exact.
    test_from, test_top1
        The test: gallery size that a forecast to the present N was made from, and what it said.
    """

    num_gallery: int
    top1: float
    top1_low: float
    top1_high: float
    test_from: int
    test_top1: float


def curve(ranks: Ranks, num_gallery: int, sizes: Sequence[int]) -> Values:
    """Exact mean top-1 in random galleries of each size, ``(s,)`` in [0, 1].

    Parameters
    ----------
    ranks
        Counts of mated probes in a gallery of ``num_gallery``.
    sizes
        Each in 1..num_gallery.
    """
    return np.array([top1_credit_at(ranks, num_gallery, size).mean() for size in sizes])


def fit(sizes: NDArray[Any], top1: Values) -> Law:
    """Fit the law by least squares of log top-1.

    Parameters
    ----------
    sizes, top1 : (s,)
        Points of a curve, each rate in (0, 1].

    References
    ----------
    See the module's docstring.
    """
    return _law(_solve(sizes, top1).x)


def forecast(
    ranks: Ranks,
    user: NDArray[Any],
    num_gallery: int,
    targets: Sequence[int],
    *,
    replicates: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> tuple[Forecast, ...] | None:
    """Forecast top-1 to larger galleries of users like these.

    Parameters
    ----------
    ranks
        Counts of n mated probes.
    user : (n,)
        Who is behind each.
    num_gallery
        N, users in the gallery.
    targets
        Gallery sizes above N.
    replicates, rng, level
        Of the bootstrap over users. The forecast is linearized in the curve, so that no
        replicate is fitted anew.

    Returns
    -------
    tuple of Forecast, or None
        None where there is no curve to extend: fewer than 10 users are ever identified, or fewer
        than 10 ever missed.

    Raises
    ------
    ValueError
        If a target is not above N.
    """
    for target in targets:
        if target <= num_gallery:
            raise ValueError(
                f"a forecast must be to more than the {num_gallery} users of the gallery, "
                f"got {target}"
            )
    if not targets:
        return ()
    credit = top_credit(ranks, 1)
    few = min(len(np.unique(user[side])) for side in (credit > 0, credit < 1))
    if few < FEW_USERS or num_gallery < 2 * SMALLEST_TEST:
        return None
    sizes = _sizes(num_gallery)
    credits = np.column_stack([top1_credit_at(ranks, num_gallery, size) for size in sizes])
    top1 = credits.mean(axis=0)
    fitted = _solve(sizes, top1)
    # Change of the parameters for a change of each point of the curve.
    to_parameters = np.linalg.pinv(fitted.jac) / top1
    values = logit(_law(fitted.x).top1(np.array(targets)))
    slopes = [approx_fprime(fitted.x, _log_odds, 1e-6, target) for target in targets]
    influence = credits @ (np.array(slopes) @ to_parameters).T
    low, high = bootstrap(influence, user, replicates=replicates, rng=rng, level=level)
    low, high = low - influence.mean(axis=0), high - influence.mean(axis=0)

    found = []
    for i, target in enumerate(targets):
        growth = min(target / num_gallery, num_gallery / SMALLEST_TEST)
        test_from = round(num_gallery / growth)
        test_sizes = _sizes(test_from)
        test_law = fit(test_sizes, curve(ranks, num_gallery, test_sizes.tolist()))
        test = test_law.top1(sizes[-1:])[0]
        error = abs(float(logit(test) - logit(top1[-1])))
        # A test over less growth than the forecast's is scaled up, as the logarithm grows.
        error *= math.log(target / num_gallery) / math.log(growth)
        found.append(
            Forecast(
                num_gallery=target,
                top1=float(expit(values[i])),
                top1_low=float(expit(values[i] + low[i] - error)),
                top1_high=float(expit(values[i] + high[i] + error)),
                test_from=test_from,
                test_top1=float(test),
            )
        )
    return tuple(found)


def _sizes(largest: int) -> NDArray[np.int64]:
    smallest = max(2.0, largest / FITTED_DECADES)
    return np.unique(np.geomspace(smallest, largest, NUM_SIZES).round().astype(np.int64))


def _law(parameters: NDArray[Any]) -> Law:
    """Law of the logarithms of 1 - d and c + d, which are free of each other."""
    first, second = np.exp(parameters).tolist()
    return Law(1 - first, second - 1 + first)


def _log_odds(parameters: NDArray[Any], num_gallery: int) -> float:
    return float(logit(_law(parameters).top1(np.array(num_gallery))))


def _solve(sizes: NDArray[Any], top1: Values) -> Any:
    def residual(parameters: NDArray[Any]) -> Values:
        return np.log(_law(parameters).top1(sizes)) - np.log(top1)

    # Beyond these bounds curves hardly differ, and gamma functions overflow.
    low, high = np.log([[1e-4, 1e-3], [30.0, 1e6]])
    starts = np.log([[0.5, 10.0], [0.1, 1e3], [3.0, 30.0]])
    fits = [least_squares(residual, start, bounds=(low, high)) for start in starts]
    return min(fits, key=lambda found: float(found.cost))
