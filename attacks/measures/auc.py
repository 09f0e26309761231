"""Area under the ROC curve of events that their users make dependent.

Shape letters: n events, u users.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from attacks.measures.intervals import Values, by_user, check, clopper_pearson
from attacks.measures.reliability import doubt

Rows = NDArray[np.int64]
Labels = NDArray[np.bool_]


class Auc(NamedTuple):
    """Area under the ROC curve and its interval, each in [0, 1].

    Attributes
    ----------
    doubt
        Why the interval may cover too seldom, see `attacks.measures.reliability`; None where
        nothing speaks against it.
    """

    auc: float
    low: float
    high: float
    doubt: str | None = None


class Pairs(NamedTuple):
    """Pairs of a positive and a negative event in the right order, equal scores one half each.

    Attributes
    ----------
    total
        Of all events.
    of_positives, of_negatives : (u,)
        Those that a user's positive, or negative, events are part of.
    within : (u,)
        Those whose both events are the user's.
    positives, negatives : (u,)
        The user's events.
    """

    total: float
    of_positives: Values
    of_negatives: Values
    within: Values
    positives: Values
    negatives: Values

    @property
    def auc(self) -> float:
        """Share of all pairs that are in the right order."""
        return self.total / float(self.positives.sum() * self.negatives.sum())

    @property
    def without(self) -> Values:
        """AUC of all other users' events, for each user: ``(u,)``."""
        kept = self.total - self.of_positives - self.of_negatives + self.within
        others: Values = (self.positives.sum() - self.positives) * (
            self.negatives.sum() - self.negatives
        )
        return kept / others

    @property
    def residuals(self) -> tuple[Values, Values]:
        """What each user's positive, and negative, events add above their share, ``(u,)`` each.

        The sum of each over users is 0; both together are the user's influence on the AUC.
        """
        num_positive, num_negative = self.positives.sum(), self.negatives.sum()
        total, auc = num_positive * num_negative, self.auc
        return (
            (self.of_positives - auc * self.positives * num_negative) / total,
            (self.of_negatives - auc * self.negatives * num_positive) / total,
        )


def clustered_auc(
    score: NDArray[Any], label: NDArray[Any], user: NDArray[Any], *, level: float = 0.95
) -> Auc:
    """Area under the ROC curve with an interval over users, in O(n log n).

    The variance is the jackknife's, which leaves out one user after another; it agrees with
    Obuchowski's where users are many. The interval is symmetric in log odds, at t quantiles with
    the degrees of freedom that unequal users leave. Where no pair is in the wrong order, or none
    in the right one, it is the binomial one of as many trials as there are effective users.

    Parameters
    ----------
    score : (n,)
        Larger for events more likely positive; equal scores count one half.
    label : (n,)
        0 or 1.
    user : (n,)
        Who caused each event; events of one user may depend on each other.
    level
        Nominal coverage, in (0, 1).

    Raises
    ------
    ValueError
        If lengths disagree, a score is not finite, a label is neither 0 nor 1, or a label has
        fewer than two users.

    References
    ----------
    Nancy A. Obuchowski, Nonparametric Analysis of Clustered ROC Curve Data, Biometrics, 1997.
    Margaret S. Pepe, The Statistical Evaluation of Medical Tests for Classification and
    Prediction, Oxford University Press, 2003, section 5.2 (log odds).
    """
    found = ordered_pairs(score, label, user, level=level)
    auc, num_users = found.auc, len(found.positives)
    shares = [side / side.sum() for side in (found.positives, found.negatives)]
    if not 0 < auc < 1:
        effective = min(1 / float((share**2).sum()) for share in shares)
        return Auc(auc, *clopper_pearson(auc, effective, level=level))
    left_out = found.without - auc
    variance = (num_users - 1) / num_users * float((left_out**2).sum())
    weight = shares[0] ** 2 + shares[1] ** 2
    df = max(1.0, float(weight.sum() ** 2 / (weight**2).sum()) - 1)
    margin = float(stdtrit(df, (1 + level) / 2)) * np.sqrt(variance) / (auc * (1 - auc))
    low, high = (float(expit(logit(auc) + end)) for end in (-margin, margin))
    events = found.positives + found.negatives
    # Active users whose events all score higher gain by one label what they lose by the other.
    doubts = [why for side in found.residuals if (why := doubt(side, events)) is not None]
    return Auc(auc, low, high, doubts[0] if doubts else None)


def ordered_pairs(
    score: NDArray[Any], label: NDArray[Any], user: NDArray[Any], *, level: float = 0.95
) -> Pairs:
    """Count the pairs in the right order, by user.

    Parameters
    ----------
    score, label, user, level
        As in `clustered_auc`, which raises the same.
    """
    check(score[:, None], user, level)
    if label.shape != score.shape or not np.isin(label, (0, 1)).all():
        raise ValueError(f"label must be {len(score)} values of 0 or 1")
    row: Rows = np.unique(user, return_inverse=True)[1]
    is_positive: Labels = label.astype(bool)
    positives, negatives = (
        np.bincount(row[side], minlength=row.max() + 1).astype(np.float64)
        for side in (is_positive, ~is_positive)
    )
    num_users = [int((side > 0).sum()) for side in (positives, negatives)]
    if min(num_users) < 2:
        raise ValueError(
            f"each label needs two users, got {num_users[0]} with label 1 and "
            f"{num_users[1]} with label 0"
        )
    # scipy.stats takes a second to import, which an audit, in need of no AUC, need not wait for.
    from scipy.stats import rankdata

    rank, right = rankdata(score), np.empty(len(score))
    right[is_positive] = rank[is_positive] - rankdata(score[is_positive])
    below = rank[~is_positive] - rankdata(score[~is_positive])
    right[~is_positive] = positives.sum() - below
    of_positives, of_negatives = (
        by_user(right * side, row) for side in (is_positive, ~is_positive)
    )
    within = _within(score, is_positive, row)
    total = float(of_positives.sum())
    return Pairs(total, of_positives, of_negatives, within, positives, negatives)


def _within(score: NDArray[Any], is_positive: Labels, row: Rows) -> Values:
    """Pairs of each user's own events in the right order, ``(u,)``."""
    order = np.lexsort((score, row))
    score, is_positive, row = score[order], is_positive[order], row[order]
    negatives = np.concatenate([[0], np.cumsum(~is_positive)])
    is_first = np.append(True, (score[1:] != score[:-1]) | (row[1:] != row[:-1]))
    first = np.flatnonzero(is_first)
    tie, end = np.cumsum(is_first) - 1, np.append(first[1:], len(row))
    # Half of the negatives with the same score, and all below it.
    below = (negatives[first[tie]] + negatives[end[tie]]) / 2
    below -= negatives[np.searchsorted(row, row)]
    return by_user(below * is_positive, row)
