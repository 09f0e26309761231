"""The bootstrap over users, for figures that have no interval in `attacks.measures.intervals`.

Shape letters: n probes, u users, k figures computed at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from attacks.measures.intervals import Columns, Interval, Values, check, degrees_of_freedom

FEW_USERS = 10
"""With fewer users hit, or missed, a resample often holds none and percentiles mean little."""


def bootstrap(
    values: NDArray[Any],
    user: NDArray[Any],
    *,
    replicates: int,
    rng: np.random.Generator,
    level: float = 0.95,
    per_user: Columns = False,
) -> Interval:
    """Percentile intervals of means, from resampling whole users.

    Parameters
    ----------
    values : (n, k)
        Figures of each probe.
    user : (n,)
        Who is behind each.
    replicates
        Resamples of u users with replacement; all k figures share them.
    rng
        Draws them; the result depends on nothing else.
    level
        Nominal coverage, in (0, 1).
    per_user
        Which of the k figures are averages over users of their own means, in place of over
        probes; one value stands for all.

    Returns
    -------
    Interval
        Low and high, ``(k,)`` each.

    Raises
    ------
    ValueError
        If there are no probes, lengths disagree, a value is not finite or a setting is out of
        range.

    References
    ----------
    A. C. Davison, D. V. Hinkley, Bootstrap Methods and their Application, Cambridge University
    Press, 1997, section 3.8 (resampling clusters whole) and 5.3 (percentiles).
    """
    check(values, user, level)
    if replicates < 1:
        raise ValueError(f"replicates must be at least 1, got {replicates}")
    sums, counts = _per_user(values, user, per_user)
    num_users, by_user = len(counts), np.broadcast_to(per_user, values.shape[1])
    parts = np.ascontiguousarray(np.column_stack([sums, counts]).T)
    means = np.empty((replicates, values.shape[1]))
    for replicate in range(replicates):
        drawn = rng.integers(num_users, size=num_users, dtype=np.int32)
        times = np.bincount(drawn, minlength=num_users).astype(np.float64)
        # Not a BLAS product, whose order of summation follows the number of threads.
        total = np.einsum("u,ku->k", times, parts)
        means[replicate] = total[:-1] / np.where(by_user, num_users, total[-1])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(low, high)


def expanded_percentiles(counts: NDArray[Any], level: float = 0.95) -> tuple[float, float]:
    """Percentiles of resampled figures that make an interval as wide as few users require.

    A resample varies less than a sample does, and as if the spread were known: normal quantiles
    take the place of t's. Both shrink an interval, the more so the fewer the users and the more
    unequal their counts; percentiles further out make up for it.

    Parameters
    ----------
    counts : (u,)
        Probes, or events, of each user, of at least two.
    level
        Nominal coverage, in (0, 1).

    Returns
    -------
    low, high
        In (0, 1), symmetric around 1/2.

    References
    ----------
    Tim C. Hesterberg, What Teachers Should Know About the Bootstrap: Resampling in the
    Undergraduate Statistics Curriculum, The American Statistician, 2015.
    """
    share = np.asarray(counts, np.float64) / np.sum(counts)
    quantile = stdtrit(degrees_of_freedom(share), (1 + level) / 2)
    quantile /= np.sqrt(1 - (share**2).sum())
    return float(ndtr(-quantile)), float(ndtr(quantile))


def _per_user(
    values: NDArray[Any], user: NDArray[Any], per_user: Columns = False
) -> tuple[Values, Values]:
    """Add up each user's probes: sums ``(u, k)``, or means where per user, and counts ``(u,)``."""
    user_row = np.unique(user, return_inverse=True)[1]
    counts = np.bincount(user_row).astype(np.float64)
    sums: Values = np.column_stack([np.bincount(user_row, column) for column in values.T])
    return np.where(per_user, sums / counts[:, None], sums), counts
