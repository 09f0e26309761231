"""Utility of one model: how well its probabilities predict the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_recall_curve,
)

from attacks.measures.auc import clustered_auc
from suite.input.allowed import counted


@dataclass(frozen=True)
class Scores:
    """A model's logits of one label over the n events of a window.

    Attributes
    ----------
    logit : (n,)
        As trained, under the class weight.
    label : (n,)
        What happened.
    user_id : (n,)
        Whose event it is.
    """

    logit: NDArray[np.floating]
    label: NDArray[np.bool_]
    user_id: NDArray[np.int64]

    @classmethod
    def of(cls, scores: pl.DataFrame, window: str) -> Scores:
        """Take a window's rows of a table with ``user_id, window, engaged, logit``."""
        rows = scores.filter(pl.col("window") == window)
        return cls(
            logit=rows["logit"].to_numpy(),
            label=rows["engaged"].cast(pl.Boolean).to_numpy(),
            user_id=rows["user_id"].to_numpy(),
        )


@dataclass(frozen=True)
class Utility:
    """Quality of the probabilities on the test window; the rates are in [0, 1].

    Attributes
    ----------
    auc, auc_low, auc_high
        Area under the ROC curve with its 95 % interval, users as clusters.
    auc_doubt
        Why that interval may cover too seldom, if so.
    ap
        Average precision.
    f1, accuracy
        At ``threshold``.
    log_loss
        Cross entropy in nats.
    rce
        Percent by which the cross entropy undercuts that of the base rate; negative when worse.
    threshold
        Log odds from which an event counts as engaged; it maximizes F1 on validation.
    """

    auc: float
    auc_low: float
    auc_high: float
    auc_doubt: str | None
    ap: float
    f1: float
    accuracy: float
    log_loss: float
    rce: float
    threshold: float


def utility(validation: Scores, test: Scores, positive_weight: float) -> Utility:
    """Measure the test window at the threshold that validation chooses.

    Parameters
    ----------
    positive_weight
        Weight w > 0 that positives had in the loss, see ``log_odds``.

    Raises
    ------
    ValueError
        If a window is empty, has one class only, or holds a logit that is not finite.

    References
    ----------
    Relative cross entropy: Belli et al., "The 2021 RecSys Challenge Dataset: Fairness is not
    optional", RecSys Challenge workshop, 2021.
    """
    for window, scores in (("validation", validation), ("test", test)):
        _check(window, scores)
    chosen_on, tested = (log_odds(scores.logit, positive_weight) for scores in (validation, test))
    threshold = best_threshold(chosen_on, validation.label)
    engaged = tested >= threshold
    area = clustered_auc(tested, test.label, test.user_id)
    return Utility(
        auc=area.auc,
        auc_low=area.low,
        auc_high=area.high,
        auc_doubt=area.doubt,
        ap=float(average_precision_score(test.label, tested)),
        f1=float(f1_score(test.label, engaged)),
        accuracy=float(accuracy_score(test.label, engaged)),
        log_loss=cross_entropy(tested, test.label),
        rce=relative_cross_entropy(tested, test.label),
        threshold=threshold,
    )


def best_threshold(score: NDArray[np.float64], label: NDArray[np.bool_]) -> float:
    """Return the smallest score s such that calling everything >= s positive maximizes F1.

    Parameters
    ----------
    score, label : (n,)
        Both classes must occur.
    """
    precision, recall, thresholds = precision_recall_curve(label, score)
    # 2pr / (p + r), with 0 in place of 0/0; the last point has no threshold.
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    return float(thresholds[np.argmax(f1[:-1])])


def log_odds(logit: NDArray[np.floating[Any]], positive_weight: float) -> NDArray[np.float64]:
    """Return the log odds of ``(n,)`` logits that were trained with weighted positives.

    Parameters
    ----------
    positive_weight
        Weight w > 0 that positives had in the loss. Such a loss is minimized by log odds that are
        ln w too large, so that much is subtracted: probability = sigmoid(logit - ln w).
    """
    corrected: NDArray[np.float64] = logit.astype(np.float64) - np.log(positive_weight)
    return corrected


def cross_entropy(log_odds: NDArray[np.float64], label: NDArray[np.bool_]) -> float:
    """Return the mean cross entropy of ``(n,)`` log odds in nats, finite for finite log odds."""
    return float(np.mean(_cross_entropies(log_odds, label)))


def relative_cross_entropy(log_odds: NDArray[np.float64], label: NDArray[np.bool_]) -> float:
    """Return the relative cross entropy of ``(n,)`` log odds against the base rate, in percent.

    Both classes must occur.
    """
    return float(relative_cross_entropies(log_odds, label, np.ones((len(label), 1)))[0])


def relative_cross_entropies(
    log_odds: NDArray[np.float64], label: NDArray[np.bool_], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the relative cross entropy under several weightings of the same events.

    Parameters
    ----------
    log_odds, label : (n,)
        Of each event.
    weight : (n, r)
        Weight of each event in each of r samples.

    Returns
    -------
    (r,)
        In percent; NaN without both classes.
    """
    total = weight.sum(axis=0)
    base = (weight * label[:, None]).sum(axis=0) / total
    base[(base == 0) | (base == 1)] = np.nan
    naive = -(base * np.log(base) + (1 - base) * np.log1p(-base))
    each = _cross_entropies(log_odds, label)
    gain: NDArray[np.float64] = 100 * (1 - (weight * each[:, None]).sum(axis=0) / total / naive)
    return gain


def _cross_entropies(
    log_odds: NDArray[np.float64], label: NDArray[np.bool_]
) -> NDArray[np.float64]:
    entropies: NDArray[np.float64] = np.logaddexp(0.0, log_odds) - np.where(label, log_odds, 0.0)
    return entropies


def _check(window: str, scores: Scores) -> None:
    if not np.isfinite(scores.logit).all():
        count = int((~np.isfinite(scores.logit)).sum())
        raise ValueError(f"{window} window: found {counted(count, 'logit')} NaN or infinite")
    positive = int(scores.label.sum())
    if not 0 < positive < len(scores.label):
        raise ValueError(
            f"{window} window: {positive} of {len(scores.label)} events have the label; "
            "two classes are needed"
        )
