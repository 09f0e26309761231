"""How top-1 falls as the gallery grows: exactly up to its size, by a law beyond it.

The exact curve needs no law: a random smaller gallery that keeps the true user is a matter of
counting. Beyond the gallery, the stretch of the curve next to it is continued by two forms of the
law of `attacks.measures.law`, one for probes that differ in how hard they are and one for users who
form clusters, weighted by the evidence for each.

The interval adds up, on the scale of log odds, the variance from which users were seen (bootstrap
over users), from what their curve leaves open about the law and its form, and from how far the laws
stray. The last is measured where the answer is known, by forecasts from random sub-galleries to the
gallery itself over growths of about 2, 4, 8 and so on; the worst counts. A growth much beyond the
largest one tested, or one whose interval would be too wide to say anything, is refused.

Shape letters: n probes, u users, s gallery sizes, t target sizes.

References
----------
Luc Rocher, Julien M. Hendrickx, Yves-Alexandre de Montjoye, A scaling law to model the
effectiveness of identification techniques, Nature Communications, 2025,
doi 10.1038/s41467-024-55296-6.
Leonard J. Tashman, Out-of-sample Tests of Forecasting Accuracy: an Analysis and Review,
International Journal of Forecasting, 2000 (errors of forecasts from several origins).
Jennifer A. Hoeting, David Madigan, Adrian E. Raftery, Chris T. Volinsky, Bayesian Model Averaging:
a Tutorial, Statistical Science, 1999 (weights, and the variance between the laws).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from attacks.measures.bootstrap import FEW_USERS, bootstrap
from attacks.measures.continuation import Backtest, Continued, Seen
from attacks.measures.metrics import top1_credit_at, top_credit
from attacks.ranks.exact import Ranks

Values = NDArray[np.float64]

SMALLEST_TEST = 20
"""Users in the smallest gallery that a forecast is tried from."""

REACH = 1.5
"""How many times farther than tests a forecast may go, in the logarithm of growth."""

WIDEST = 10.0
"""Odds at the upper over those at the lower end of the widest interval that says anything."""

NUM_STEPS = 60


@dataclass(frozen=True)
class Forecast:
    """Top-1 expected in a larger gallery, or why it cannot be said.

    Attributes
    ----------
    num_gallery
        Its users.
    top1, top1_low, top1_high
        In [0, 1], None where refused. The interval covers which users were seen, what their curve
        leaves open and how far the law strayed in tests.
    test_from, test_top1
        The test nearest in growth: gallery size that a forecast to the present N was made from,
        and what it said.
    largest_growth
        How many times larger than N a gallery may be.
    reason
        Of a refusal, one line; None where there is a forecast.
    """

    num_gallery: int
    top1: float | None
    top1_low: float | None
    top1_high: float | None
    test_from: int
    test_top1: float
    largest_growth: float
    reason: str | None = None


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
        than 10 ever missed, or the gallery has fewer than 40. A target that the data say too
        little about has no figures, but the reason.

    Raises
    ------
    ValueError
        If a target is not above N.

    References
    ----------
    See the module's docstring.
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
    seen = Seen(ranks, user, num_gallery)
    here = seen.continued(num_gallery)
    tests = [seen.test(size, here) for size in _test_sizes(num_gallery)]
    margin = float(ndtri((1 + level) / 2))
    reach = _reach(here, tests, num_gallery, margin)

    growth = np.array(targets) / num_gallery
    ahead = here.at(np.array(targets, np.float64))
    low, high = bootstrap(
        ahead.influence * seen.num_users,
        np.arange(seen.num_users),
        replicates=replicates,
        rng=rng,
        level=level,
    )
    unseen = margin * np.sqrt(ahead.left_open + _stray(tests, num_gallery, growth))
    top1 = expit(ahead.value)
    top1_low = expit(ahead.value - np.hypot(low, unseen))
    top1_high = expit(ahead.value + np.hypot(high, unseen))
    found = []
    for i, target in enumerate(targets):
        test = _nearest(tests, num_gallery**2 / target)
        reason = _refusal(target, num_gallery, reach, tests)
        said = reason is None
        found.append(
            Forecast(
                num_gallery=target,
                top1=float(top1[i]) if said else None,
                top1_low=float(top1_low[i]) if said else None,
                top1_high=float(top1_high[i]) if said else None,
                test_from=test.size,
                test_top1=test.top1,
                largest_growth=reach,
                reason=reason,
            )
        )
    return tuple(found)


def _nearest(tests: Sequence[Backtest], size: float) -> Backtest:
    return min(tests, key=lambda test: abs(math.log(test.size / size)))


def _test_sizes(num_gallery: int) -> list[int]:
    """Sizes of sub-galleries, each about half of the one before, down to the smallest."""
    num_tests = int(math.log2(num_gallery / SMALLEST_TEST))
    sizes = np.geomspace(num_gallery, SMALLEST_TEST, num_tests + 1)[1:]
    return [round(size) for size in sizes.tolist()]


def _stray(tests: Sequence[Backtest], num_gallery: int, growth: Values) -> Values:
    """Variance of log odds from the worst test; errors grow with the logarithm of growth."""
    rate = max(test.error / math.log(num_gallery / test.size) for test in tests)
    variance: Values = (rate * np.log(growth)) ** 2
    return variance


def _farthest(tests: Sequence[Backtest], num_gallery: int) -> float:
    return float((num_gallery / tests[-1].size) ** REACH)


def _reach(here: Continued, tests: Sequence[Backtest], num_gallery: int, margin: float) -> float:
    """Largest growth whose interval still says something, 1 if there is none."""
    growth = np.geomspace(1.0, _farthest(tests, num_gallery), NUM_STEPS)
    variance = here.at(num_gallery * growth).variance + _stray(tests, num_gallery, growth)
    is_wide = np.exp(2 * margin * np.sqrt(variance)) > WIDEST
    return float(growth[max(int(np.argmax(is_wide)) - 1, 0)] if is_wide.any() else growth[-1])


def _refusal(target: int, num_gallery: int, reach: float, tests: Sequence[Backtest]) -> str | None:
    """Say why there is no forecast to a target, or None."""
    asked, tested = target / num_gallery, num_gallery / tests[-1].size
    if asked <= reach:
        return None
    if asked > _farthest(tests, num_gallery):
        why = f"forecasts from within the gallery could be tested over {_times(tested)} only"
    else:
        why = f"the odds at the ends of its interval would differ by more than {WIDEST:.0f} times"
    return (
        f"{target:,} users are {_times(asked)} the gallery's {num_gallery:,}, allowed: up to "
        f"{_times(reach)}: {why}"
    )


def _times(growth: float) -> str:
    return f"{growth:,.0f} times" if growth >= 100 else f"{growth:.3g} times"
