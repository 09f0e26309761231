"""Intervals of rates and means that take users, not probes, as the independent units.

A user's probes resemble each other, so that an interval over probes would be too narrow. The
gallery is held fixed: intervals are about other users who might have been probed, and the figure
is the mean over the probes, or over the users, of the population that these users come from.

The mean over probes is a ratio of two sums over users, whose shares of the probes differ. Its
variance is linearized and corrected for each user's leverage, its quantiles are Student's t at
the degrees of freedom that unequal users leave, and Hall's cubic transformation takes out the
skewness, which a rare success of an active user causes. What few users decide gets an exact
binomial interval at an effective number of probes. Nothing is drawn at random.
`docs/statistics.md` shows how often the intervals cover.

Shape letters: n probes, u users, k figures computed at once.

References
----------
Peter Hall, On the Removal of Skewness by Transformation, Journal of the Royal Statistical Society
B, 1992. Robert M. Bell, Daniel F. McCaffrey, Bias Reduction in Standard Errors for Linear
Regression with Multi-Stage Samples, Survey Methodology, 2002 (leverage, degrees of freedom).
Edward L. Korn, Barry I. Graubard, Confidence Intervals for Proportions with Small Expected Number
of Positive Counts Estimated from Survey Data, Survey Methodology, 1998 (effective number).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, stdtr, stdtrit

Values = NDArray[np.float64]
Columns = bool | Sequence[bool]

FEW_USERS = 15
"""Users who earn credit, or miss it, below whom a variance says too little."""

PRIOR_USERS = 2.0
"""Users with credit that the assumption of one user's probes being all alike counts for."""


class Interval(NamedTuple):
    """Bounds ``(k,)`` of k figures."""

    low: Values
    high: Values


class Spread(NamedTuple):
    """A mean over probes, and how it varies with the users.

    Attributes
    ----------
    mean, error
        Ratio of the users' sums, and its standard error.
    skewness
        Third moment of the users' residuals over the 3/2 power of the second, as sums: what the
        skewness of one user becomes in the mean of all.
    df
        Degrees of freedom of the standard error, at least 1.
    """

    mean: float
    error: float
    skewness: float
    df: float


def rate_intervals(
    credits: NDArray[Any], user: NDArray[Any], *, level: float = 0.95, per_user: Columns = False
) -> Interval:
    """Intervals of means of values in [0, 1], such as top-1 credits or reciprocal ranks.

    Where fewer than 15 users have the largest values of a column, the column is cut at the 15th
    user's: what lies above the cut, of which there is little, gets the binomial interval, what
    lies below it the general one, and the bounds of the two are added. Of a column whose mean
    exceeds 1/2 the distance to 1 is taken in its place, so that rare misses count as rare hits do.

    Parameters
    ----------
    credits : (n, k)
        Figures of each probe, in [0, 1].
    user : (n,)
        Who is behind each.
    level
        Nominal coverage, in (0, 1).
    per_user
        Which of the k figures are averages over users of their own means, in place of over
        probes; one value stands for all.

    Returns
    -------
    Interval
        Low and high, ``(k,)`` each, in [0, 1].

    Raises
    ------
    ValueError
        If there are no probes, lengths disagree, a value is not finite or outside [0, 1], or the
        level is out of range.
    """
    check(credits, user, level)
    if credits.min() < 0 or credits.max() > 1:
        raise ValueError(f"credits must be in [0, 1], got {credits.min()} to {credits.max()}")
    user_row = np.unique(user, return_inverse=True)[1]
    counts = np.bincount(user_row).astype(np.float64)
    by_user = np.broadcast_to(per_user, credits.shape[1])
    bounds = [
        _rate(_Probes(column.astype(np.float64), user_row, counts, one), level)
        for column, one in zip(credits.T, by_user, strict=True)
    ]
    low, high = np.array(bounds).T
    return Interval(low, high)


def by_user(values: NDArray[Any], user_row: NDArray[np.int64]) -> Values:
    """Sum of each user's values, ``(n,), (n,) -> (u,)``; rows count up from 0."""
    return np.bincount(user_row, values).astype(np.float64)


def spread(sums: Values, counts: Values) -> Spread:
    """Measure how a ratio of sums over users varies with the users, at least two.

    Parameters
    ----------
    sums, counts : (u,)
        Of each user's values, and the number of them.
    """
    total = counts.sum()
    share = counts / total
    mean = float(sums.sum() / total)
    residual = sums - mean * counts
    squares = float((residual**2).sum())
    # A user pulls the mean towards itself: leaving it out enlarges its residual by 1 / (1 - share).
    error = float(np.sqrt(((residual / (1 - share)) ** 2).sum()) / total)
    # Rounding leaves residuals of values that are all alike near 0, not at it.
    if squares <= 1e-24 * float((sums**2).sum()):
        return Spread(mean, 0.0, 0.0, degrees_of_freedom(counts))
    skewness = float((residual**3).sum() / squares**1.5)
    return Spread(mean, error, skewness, degrees_of_freedom(counts))


def degrees_of_freedom(counts: Values) -> float:
    """Degrees of freedom of a mean's variance over users with unequal shares of the probes.

    Satterthwaite's: twice the squared expectation of the estimated variance over its variance,
    for users whose own probes are all alike. u - 1 for equal counts, at least 1.

    Parameters
    ----------
    counts : (u,)
        Probes of each user, of at least two.
    """
    share = counts / counts.sum()
    weight, variance = 1 / (1 - share) ** 2, share**2
    # Residuals have the covariance diag(v) - v s' - s v' + s s' sum(v), with v = variance.
    total = variance.sum()
    own = variance - 2 * variance * share + share**2 * total
    vv, ss, vs = (float((weight * a).sum()) for a in (variance**2, share**2, variance * share))
    shared = 2 * vv * ss + 2 * vs**2 - 4 * total * vs * ss + total**2 * ss**2
    each = float((weight**2 * variance * (2 * own - variance)).sum())
    return max(1.0, float((weight * own).sum() ** 2 / (shared + each)))


def skewed_bounds(found: Spread, level: float) -> tuple[float, float]:
    """Return the interval of a mean at t quantiles, moved by the skewness."""
    quantile = float(stdtrit(found.df, (1 + level) / 2))
    low, high = (_unskewed(end, found.skewness) for end in (quantile, -quantile))
    return found.mean - found.error * low, found.mean - found.error * high


def skewed_p(found: Spread) -> float:
    """Two-sided p of a mean of 0: twice the level at which its interval begins to hold 0."""
    if found.error == 0:
        return 1.0
    studentized, skewness = found.mean / found.error, found.skewness
    if abs(skewness) > 1e-9:
        studentized = ((1 + skewness * studentized / 3) ** 3 - 1) / skewness + skewness / 6
    return float(2 * stdtr(found.df, -abs(studentized)))


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
    of the Binomial, Biometrika, 1934.
    """
    hits, tail = share * num_trials, (1 - level) / 2
    misses = num_trials - hits
    low = float(betaincinv(hits, misses + 1, tail)) if share > 0 else 0.0
    high = float(betaincinv(hits + 1, misses, 1 - tail)) if share < 1 else 1.0
    return low, high


def few_bounds(sums: Values, counts: Values, num_hit: int, level: float) -> tuple[float, float]:
    """Binomial interval of a rate that few users decide, at an effective number of probes.

    The number is that of the probes over the design effect, times what turns t quantiles into
    normal ones. The design effect is the estimated one, which few users say little about, pulled
    towards that of users whose own probes are all alike.

    Parameters
    ----------
    sums, counts : (u,)
        Credit in [0, 1] per probe, and number, of each user's probes.
    num_hit
        Users with any credit.
    level
        Nominal coverage, in (0, 1).
    """
    total = counts.sum()
    alike = float((counts**2).sum() / total)
    share = float(np.clip(sums.sum() / total, 0.0, 1.0))
    if len(counts) < 2:
        return clopper_pearson(share, 1.0, level=level)
    effect = alike
    if 0 < share < 1:
        estimated = max(1.0, spread(sums, counts).error ** 2 * total / (share * (1 - share)))
        weight = PRIOR_USERS / (num_hit + PRIOR_USERS)
        effect = (1 - weight) * estimated + weight * max(alike, estimated)
    quantile = float(stdtrit(degrees_of_freedom(counts), (1 + level) / 2))
    narrowing = (float(ndtri((1 + level) / 2)) / quantile) ** 2
    return clopper_pearson(share, float(total / effect * narrowing), level=level)


def check(values: NDArray[Any], user: NDArray[Any], level: float) -> None:
    """Refuse values ``(n, k)`` that are no finite figures of the probes of users ``(n,)``.

    Raises
    ------
    ValueError
        One line that says what.
    """
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values must be a matrix with rows, got shape {values.shape}")
    if user.shape != (len(values),):
        raise ValueError(f"user must name {len(values)} probes, got shape {user.shape}")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise ValueError(f"values must be finite, got NaN or infinity in row {bad[0]}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")


class _Probes(NamedTuple):
    """One figure of n probes, the rows of their users, and the number of each user's probes."""

    values: Values
    user_row: NDArray[np.int64]
    counts: Values
    per_user: bool

    def added(self, values: Values) -> tuple[Values, Values]:
        """Add up each user's values: sums and counts; means and ones where it is per user."""
        sums = by_user(values, self.user_row)
        if self.per_user:
            return sums / self.counts, np.ones(len(self.counts))
        return sums, self.counts


def _rate(probes: _Probes, level: float) -> tuple[float, float]:
    if probes.values.mean() > 0.5:
        low, high = _small_rate(probes._replace(values=1 - probes.values), level)
        return 1 - high, 1 - low
    return _small_rate(probes, level)


def _small_rate(probes: _Probes, level: float) -> tuple[float, float]:
    largest = np.zeros(len(probes.counts))
    np.maximum.at(largest, probes.user_row, probes.values)
    cut = 0.0 if len(largest) < FEW_USERS else float(np.partition(largest, -FEW_USERS)[-FEW_USERS])
    low = high = 0.0
    if cut > 0:
        below = probes.added(np.minimum(probes.values, cut))
        low, high = skewed_bounds(spread(*below), level)
    if cut < 1:
        above = probes.added(np.maximum(probes.values - cut, 0.0) / (1 - cut))
        bounds = few_bounds(*above, int((largest > cut).sum()), level)
        low, high = low + (1 - cut) * bounds[0], high + (1 - cut) * bounds[1]
    return max(low, 0.0), min(high, 1.0)


def _unskewed(quantile: float, skewness: float) -> float:
    """Where a studentized mean lies whose transform, which has no skewness, is the quantile."""
    if abs(skewness) < 1e-9:
        return quantile
    moved = float(np.cbrt(1 + skewness * (quantile - skewness / 6)))
    return 3 / skewness * (moved - 1)
