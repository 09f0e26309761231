"""Whether one attack, model or release identifies more than another on the same probes.

Shape letters: n probes, u users, m comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.measures.intervals import (
    FEW_USERS,
    Values,
    by_user,
    check,
    few_bounds,
    skewed_bounds,
    skewed_p,
    spread,
)
from attacks.measures.reliability import doubt

CHUNK_SIGNS = 2**22
"""Signs drawn at a time: 32 MiB as float64."""


@dataclass(frozen=True)
class Difference:
    """Mean of a figure under one attack minus its mean under another.

    Attributes
    ----------
    difference, low, high
        In the unit of the figure, with an interval over users.
    p
        Two-sided, in (0, 1]; small when swapping the two attacks, user by user, seldom gives as
        large a difference, and the interval at the level 1 - p still leaves out 0.
    doubt
        Why the interval may cover too seldom and p be too small, in one line; None if nothing
        says so.
    """

    difference: float
    low: float
    high: float
    p: float
    doubt: str | None = None


def paired_difference(
    first: NDArray[Any],
    second: NDArray[Any],
    user: NDArray[Any],
    *,
    swaps: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Difference:
    """Compare two attacks probe by probe, with users as the independent units.

    Parameters
    ----------
    first, second : (n,)
        A figure of each probe, such as its top-1 credit, under either attack.
    user : (n,)
        Who is behind each.
    swaps
        Random swaps; the smallest p is 1 / (swaps + 1).
    rng
        Draws them.
    level
        Nominal coverage of the interval, in (0, 1).

    Raises
    ------
    ValueError
        If the two are not figures of the same probes, there are none, one is not finite or the
        level is out of range.

    References
    ----------
    Interval: see `attacks.measures.intervals`. p: Belinda Phipson, Gordon K. Smyth, Permutation
    P-values Should Never Be Zero, Statistical Applications in Genetics and Molecular Biology,
    2010. Swaps alone hold their level where the attacks are exchangeable user by user; the
    skewness of the differences is the interval's concern: Arnold Janssen, Studentized Permutation
    Tests for Non-i.i.d. Hypotheses and the Generalized Behrens-Fisher Problem, Statistics &
    Probability Letters, 1997.
    """
    difference, low, high = paired_interval(first, second, user, level=level)
    margin: Values = first.astype(np.float64) - second
    user_row = np.unique(user, return_inverse=True)[1]
    sums, counts = by_user(margin, user_row), np.bincount(user_row).astype(np.float64)
    p = _swap_p(sums, swaps, rng)
    num_differing = _num_differing(margin, user_row)
    if num_differing >= FEW_USERS:
        p = max(p, skewed_p(spread(sums, counts)))
    residual = sums - difference * counts
    return Difference(difference, low, high, p, doubt(residual, counts, num_differing))


def paired_interval(
    first: NDArray[Any], second: NDArray[Any], user: NDArray[Any], *, level: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean difference of two attacks on the same probes, and its interval over users.

    Attacks that agree on every probe are taken for the same: both bounds are 0.

    Parameters
    ----------
    first, second, user, level
        As in `paired_difference`, which raises the same.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"the two attacks must have the same probes, got {first.shape} and {second.shape}"
        )
    margin: Values = first.astype(np.float64) - second
    check(margin[:, None], user, level)
    if not margin.any():
        return 0.0, 0.0, 0.0
    user_row = np.unique(user, return_inverse=True)[1]
    if _num_differing(margin, user_row) >= FEW_USERS:
        counts = np.bincount(user_row).astype(np.float64)
        low, high = skewed_bounds(spread(by_user(margin, user_row), counts), level)
    else:
        largest = float(max(np.abs(first).max(), np.abs(second).max()))
        low, high = _few_bounds(margin, largest, user_row, level)
    return float(margin.mean()), low, high


def holm(p: NDArray[Any]) -> Values:
    """Adjust the p-values of a family so that its chance of any false claim stays the level.

    Parameters
    ----------
    p : (m,)
        Of all comparisons made, in any order.

    Returns
    -------
    (m,)
        In [0, 1], in the same order; claim those at most the level.

    Raises
    ------
    ValueError
        If a value is not in [0, 1].

    References
    ----------
    Sture Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
    Statistics, 1979.
    """
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p must be in [0, 1], got {p.tolist()}")
    order = np.argsort(p)
    stepped = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted


def _num_differing(margin: Values, user_row: NDArray[np.int64]) -> int:
    """Users under whom the attacks differ in a probe."""
    return int((np.bincount(user_row, margin != 0) > 0).sum())


def _few_bounds(
    margin: Values, largest: float, user_row: NDArray[np.int64], level: float
) -> tuple[float, float]:
    """Bounds of a difference that few users decide, from those of its gains and of its losses.

    References
    ----------
    Zou and Donner, Construction of Confidence Limits about Effect Measures: A General Approach,
    Statistics in Medicine, 2008.
    """
    counts = np.bincount(user_row).astype(np.float64)
    sides = []
    for part in (np.maximum(margin, 0.0) / largest, np.maximum(-margin, 0.0) / largest):
        bounds = few_bounds(by_user(part, user_row), counts, _num_differing(part, user_row), level)
        sides.append((float(part.mean()), *bounds))
    (gain, gain_low, gain_high), (loss, loss_low, loss_high) = sides
    down = float(np.hypot(gain - gain_low, loss_high - loss))
    up = float(np.hypot(gain_high - gain, loss - loss_low))
    return largest * (gain - loss - down), largest * (gain - loss + up)


def _swap_p(sums: Values, swaps: int, rng: np.random.Generator) -> float:
    """Share of random swaps, one coin per user, with a sum as large as the one observed.

    Under the null hypothesis either attack might have produced either figure of a user, so the
    sign of each user's sum is a fair coin.
    """
    sums = sums[sums != 0]
    # Sums of the same terms in another order may differ in the last bits.
    observed = abs(sums.sum()) - 1e-9 * np.abs(sums).sum()
    as_large = 0
    chunk = max(1, CHUNK_SIGNS // max(1, len(sums)))
    for start in range(0, swaps, chunk):
        size = (min(chunk, swaps - start), len(sums))
        heads = rng.integers(0, 2, size, dtype=np.int8)
        as_large += int((np.abs(sums.sum() - 2 * (heads @ sums)) >= observed).sum())
    return (1 + as_large) / (1 + swaps)
