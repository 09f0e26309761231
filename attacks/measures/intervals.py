"""Intervals that take users, not probes, as the independent units.

A user's probes resemble each other, so that an interval over probes would be too narrow. The
gallery is held fixed: intervals are about other users who might have been probed.

Shape letters: n probes or events, u users, k figures computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

Values = NDArray[np.float64]
Columns = bool | Sequence[bool]

FEW_USERS = 10
"""With fewer users hit, or missed, a resample often holds none and percentiles mean little."""


class Interval(NamedTuple):
    """Bounds ``(k,)`` of k figures."""

    low: Values
    high: Values


class Auc(NamedTuple):
    """Area under the ROC curve and its interval, each in [0, 1]."""

    auc: float
    low: float
    high: float


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
    _check(values, user, level)
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


def rate_intervals(
    credits: NDArray[Any],
    user: NDArray[Any],
    *,
    replicates: int,
    rng: np.random.Generator,
    level: float = 0.95,
    per_user: Columns = False,
) -> Interval:
    """Bootstrap intervals of rates; Clopper-Pearson for those that few users decide.

    A rate is decided by few when fewer than 10 users have any credit, or fewer than 10 lack any.

    Parameters
    ----------
    credits : (n, k)
        Each in [0, 1].
    user, replicates, rng, level, per_user
        As in `bootstrap`.

    Returns
    -------
    Interval
        Low and high, ``(k,)`` each.

    Raises
    ------
    ValueError
        As `bootstrap`, and if a credit is outside [0, 1].
    """
    low, high = bootstrap(
        credits, user, replicates=replicates, rng=rng, level=level, per_user=per_user
    )
    if credits.min() < 0 or credits.max() > 1:
        raise ValueError(f"credits must be in [0, 1], got {credits.min()} to {credits.max()}")
    sums, counts = _per_user(credits, user, per_user)
    ones, by_user = np.ones(len(counts)), np.broadcast_to(per_user, credits.shape[1])
    hit = (_per_user(credits > 0, user)[0] > 0).sum(axis=0)
    missed = (_per_user(credits < 1, user)[0] > 0).sum(axis=0)
    for column in np.flatnonzero((hit < FEW_USERS) | (missed < FEW_USERS)):
        trials = ones if by_user[column] else counts
        num_effective = trials.sum() / design_effect(sums[:, column], trials)
        share = sums[:, column].sum() / trials.sum()
        low[column], high[column] = clopper_pearson(share, num_effective, level=level)
    return Interval(low, high)


def design_effect(sums: Values, counts: Values) -> float:
    """How many probes are worth one independent probe, at least 1.

    The variance of a mean over users' probes, by linearization, over that of as many independent
    probes, p (1 - p) / n. It is at most sum(counts^2) / n, which holds when a user's probes are
    all alike; that bound is also taken where p is 0 or 1, since nothing can be estimated there.

    Parameters
    ----------
    sums, counts : (u,)
        Credit and number of each user's probes.

    References
    ----------
    Leslie Kish, Survey Sampling, Wiley, 1965, section 8.2.
    """
    num_probes, num_users = counts.sum(), len(counts)
    largest = float((counts**2).sum() / num_probes)
    share = sums.sum() / num_probes
    if num_users < 2 or share <= 0 or share >= 1:
        return largest
    deviation = sums - share * counts
    variance = num_users / (num_users - 1) * (deviation**2).sum() / num_probes**2
    return float(np.clip(variance * num_probes / (share * (1 - share)), 1.0, largest))


def clopper_pearson(share: float, num_trials: float, *, level: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval of a share of trials; neither needs to be a whole number.

    Parameters
    ----------
    share
        Observed rate in [0, 1].
    num_trials
        Independent trials, or effective ones: probes over the design effect.
    level
        Least coverage, in (0, 1).

    Returns
    -------
    low, high
        In [0, 1]; low is 0 at a share of 0 and high is 1 at a share of 1.

    References
    ----------
    C. J. Clopper, E. S. Pearson, The Use of Confidence or Fiducial Limits Illustrated in the Case
    of the Binomial, Biometrika, 1934. Edward L. Korn, Barry I. Graubard, Confidence Intervals for
    Proportions with Small Expected Number of Positive Counts Estimated from Survey Data, Survey
    Methodology, 1998 (at an effective number of trials).
    """
    hits, tail = share * num_trials, (1 - level) / 2
    misses = num_trials - hits
    low = float(betaincinv(hits, misses + 1, tail)) if share > 0 else 0.0
    high = float(betaincinv(hits + 1, misses, 1 - tail)) if share < 1 else 1.0
    return low, high


def clustered_auc(
    score: NDArray[Any], label: NDArray[Any], user: NDArray[Any], *, level: float = 0.95
) -> Auc:
    """Area under the ROC curve with DeLong's variance for clustered events, in O(n log n).

    Parameters
    ----------
    score : (n,)
        Larger for events more likely positive; equal scores count one half.
    label : (n,)
        0 or 1.
    user : (n,)
        Who caused each event; events of one user may depend on each other.
    level
        Nominal coverage of the normal interval, which is cut at 0 and 1.

    Raises
    ------
    ValueError
        If lengths disagree, a score is not finite, a label is neither 0 nor 1, or a label has
        fewer than two users.

    References
    ----------
    Nancy A. Obuchowski, Nonparametric Analysis of Clustered ROC Curve Data, Biometrics, 1997.
    """
    _check(score[:, None], user, level)
    if label.shape != score.shape or not np.isin(label, (0, 1)).all():
        raise ValueError(f"label must be {len(score)} values of 0 or 1")
    user_row = np.unique(user, return_inverse=True)[1]
    is_positive = label.astype(bool)
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    num_users = [len(np.unique(user_row[side])) for side in (is_positive, ~is_positive)]
    if min(num_users) < 2:
        raise ValueError(
            f"each label needs two users, got {num_users[0]} with label 1 and "
            f"{num_users[1]} with label 0"
        )
    # scipy.stats takes a second to import, which an audit, in need of no AUC, need not wait for.
    from scipy.stats import rankdata

    # Share of the other label that an event is on the right side of.
    rank = rankdata(score)
    placement = np.empty(len(score))
    placement[is_positive] = (rank[is_positive] - rankdata(score[is_positive])) / negatives
    below = (rank[~is_positive] - rankdata(score[~is_positive])) / positives
    placement[~is_positive] = 1 - below
    auc = float(placement[is_positive].mean())

    deviation = placement - auc
    positive = np.bincount(user_row, deviation * is_positive)
    negative = np.bincount(user_row, deviation * ~is_positive)
    correction = [number / (number - 1) for number in (*num_users, len(positive))]
    variance = (
        correction[0] * (positive**2).sum() / positives**2
        + correction[1] * (negative**2).sum() / negatives**2
        + 2 * correction[2] * (positive * negative).sum() / (positives * negatives)
    )
    # The three corrections differ, so that a variance near 0 may come out below it.
    margin = float(ndtri((1 + level) / 2) * np.sqrt(max(variance, 0.0)))
    return Auc(auc, max(auc - margin, 0.0), min(auc + margin, 1.0))


def _per_user(
    values: NDArray[Any], user: NDArray[Any], per_user: Columns = False
) -> tuple[Values, Values]:
    """Add up each user's probes: sums ``(u, k)``, or means where per user, and counts ``(u,)``."""
    user_row = np.unique(user, return_inverse=True)[1]
    counts = np.bincount(user_row).astype(np.float64)
    sums: Values = np.column_stack([np.bincount(user_row, column) for column in values.T])
    return np.where(per_user, sums / counts[:, None], sums), counts


def _check(values: NDArray[Any], user: NDArray[Any], level: float) -> None:
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values must be a matrix with rows, got shape {values.shape}")
    if user.shape != (len(values),):
        raise ValueError(f"user must name {len(values)} probes, got shape {user.shape}")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise ValueError(f"values must be finite, got NaN or infinity in row {bad[0]}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
