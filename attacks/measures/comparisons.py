"""Whether one attack, model or release identifies more than another on the same probes.

Shape letters: n probes, u users, m comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.measures.intervals import bootstrap

Values = NDArray[np.float64]

CHUNK_SIGNS = 2**22
"""Signs drawn at a time: 32 MiB as float64."""


@dataclass(frozen=True)
class Difference:
    """Mean of a figure under one attack minus its mean under another.

    Attributes
    ----------
    difference, low, high
        In the unit of the figure, with a percentile interval over users.
    p
        Two-sided, in (0, 1]; small when swapping the two attacks, user by user, seldom gives as
        large a difference.
    """

    difference: float
    low: float
    high: float
    p: float


def paired_difference(
    first: NDArray[Any],
    second: NDArray[Any],
    user: NDArray[Any],
    *,
    replicates: int,
    swaps: int | None = None,
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
    replicates
        Bootstrap resamples of users.
    swaps
        Random swaps, as many as resamples if left out; the smallest p is 1 / (swaps + 1).
    rng
        Draws both.
    level
        Nominal coverage of the interval, in (0, 1).

    Raises
    ------
    ValueError
        If the two are not figures of the same probes, or as `attacks.measures.intervals.bootstrap`.

    References
    ----------
    Interval: see `attacks.measures.intervals.bootstrap`. p: Belinda Phipson, Gordon K. Smyth,
    Permutation P-values Should Never Be Zero, Statistical Applications in Genetics and Molecular
    Biology, 2010.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"the two attacks must have the same probes, got {first.shape} and {second.shape}"
        )
    margin = first - second
    low, high = bootstrap(margin[:, None], user, replicates=replicates, rng=rng, level=level)
    user_row = np.unique(user, return_inverse=True)[1]
    sums = np.bincount(user_row, margin).astype(np.float64)
    p = _swap_p(sums, swaps or replicates, rng)
    return Difference(float(margin.mean()), float(low[0]), float(high[0]), p)


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
