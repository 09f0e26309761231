"""Prediction figures of a model by label, also by category, before and after fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from attacks.measures.bootstrap import expanded_percentiles
from suite.artifacts.features import Features
from suite.artifacts.figures import MEAN, LabelFigures
from suite.artifacts.fitted import Fitted
from suite.training import scores
from suite.utility import relative_cross_entropies, relative_cross_entropy

MIN_POSITIVES = 20
"""Fewest positive events of a label in a category for which figures are computed."""

KEYS = ("ap", "auc", "rce")
"""Metrics of a label."""

DRAWN_AT_ONCE = 2_000_000
"""Events times resamples at once; a metric makes about ten copies of them."""

Values = NDArray[np.float64]


def measure_labels(
    features: Features, fitted: Fitted, *, replicates: int, seed: int
) -> LabelFigures:
    """Measure every label on the test window.

    Parameters
    ----------
    features
        Features, for the categories of the events' items.
    fitted
        Fitted model, for its scores.
    replicates
        Number of bootstrap resamples of users.
    seed
        Seed of the bootstrap: models with the same users share their resamples.

    Returns
    -------
    LabelFigures
        Without labels that have one class on test.
    """
    events = features.events.select(
        "event_id", category=pl.Series(features.categorical[:, 0])
    ).join(fitted.scores.filter(pl.col("window") == "test"), on="event_id")
    weights = dict(zip(scores.labels(fitted.scores), fitted.positive_weight, strict=True))
    weights = {k: w for k, w in weights.items() if events[k].n_unique() == 2}
    draws = _draws(events["user_id"].to_numpy(), replicates, np.random.default_rng(seed))
    rows = [
        {"stage": stage, **row}
        for stage, prefix in (("fitted", ""), ("fine-tuned", scores.FINETUNED))
        if f"{prefix}logit" in events.columns
        for row in _rows(events, weights, prefix, draws)
    ]
    names = dict(enumerate(["unknown", *features.statistics["categories"]]))
    by_category = [
        {"category": names[int(number)], "events": len(part), **row}
        for (number,), part in sorted(events.partition_by("category", as_dict=True).items())
        for row in _figures(part, _frequent(part, weights))
    ]
    return LabelFigures(rows, by_category, fitted.facts, fitted.num_parameters)


def average_precision(score: Values, label: NDArray[np.bool_], weight: Values) -> Values:
    """Average precision under several weightings of the same events.

    Parameters
    ----------
    score, label : (n,)
        Equal scores share one threshold.
    weight : (n, r)
        Weight of each event in each of r samples, all of which have a positive event.

    Returns
    -------
    (r,)
        In [0, 1].
    """
    order = np.argsort(-score, kind="stable")
    ranked, positive = weight[order], weight[order] * label[order, None]
    # The precision at an event is that at the last event with the same score.
    last = np.searchsorted(-score[order], -score[order], side="right") - 1
    hits, seen = np.cumsum(positive, axis=0), np.cumsum(ranked, axis=0)
    precision = hits[last] / np.maximum(seen[last], 1)
    average: Values = (positive * precision).sum(axis=0) / hits[-1]
    return average


def area(score: Values, label: NDArray[np.bool_], weight: Values) -> Values:
    """Area under the ROC curve under several weightings of the same events.

    Parameters
    ----------
    score, label : (n,)
        Equal scores count half.
    weight : (n, r)
        As for ``average_precision``, with a negative event too.

    Returns
    -------
    (r,)
        In [0, 1].
    """
    order = np.argsort(score, kind="stable")
    ranked, positive = score[order], weight[order] * label[order, None]
    others = weight[order] - positive
    before = np.concatenate([np.zeros((1, weight.shape[1])), np.cumsum(others, axis=0)])
    below, up_to = (before[np.searchsorted(ranked, ranked, side=s)] for s in ("left", "right"))
    areas: Values = (positive * (below + up_to)).sum(axis=0)
    areas /= 2 * positive.sum(axis=0) * before[-1]
    return areas


def _rows(
    events: pl.DataFrame, weights: dict[str, float], prefix: str, draws: Values
) -> Iterator[dict[str, Any]]:
    """Figures of each label and of their mean, with intervals over users."""
    resampled = {}
    figures = _figures(events, weights, prefix)
    num_events = np.unique(events["user_id"].to_numpy(), return_counts=True)[1]
    ends = expanded_percentiles(num_events) if len(num_events) > 1 else (0.025, 0.975)
    pieces = np.array_split(draws, -(-draws.size // DRAWN_AT_ONCE), axis=1)
    for name, weight in weights.items():
        log_odds, label = scores.log_odds(events, name, weight, prefix), events[name].to_numpy()
        # A resample without both classes has no figure: 0 / 0.
        with np.errstate(invalid="ignore"):
            resampled[name] = tuple(
                np.concatenate([metric(log_odds, label, piece) for piece in pieces])
                for metric in (average_precision, area, relative_cross_entropies)
            )
    averaged = [resampled[name] for name in _averaged(weights)]
    if averaged:
        resampled[MEAN] = tuple(np.mean(values, axis=0) for values in zip(*averaged, strict=True))
    for row in figures:
        for key, values in zip(KEYS, resampled[row["label"]], strict=True):
            low, high = np.quantile(values[np.isfinite(values)], ends)
            row |= {f"{key}_low": float(low), f"{key}_high": float(high)}
        yield row


def _figures(
    events: pl.DataFrame, weights: dict[str, float], prefix: str = ""
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, weight in weights.items():
        log_odds, label = scores.log_odds(events, name, weight, prefix), events[name].to_numpy()
        values = (
            average_precision_score(label, log_odds),
            roc_auc_score(label, log_odds),
            relative_cross_entropy(log_odds, label),
        )
        figures = dict(zip(KEYS, map(float, values), strict=True))
        rows.append({"label": name, **figures, "base": float(label.mean())})
    averaged = [row for row in rows if row["label"] in _averaged(weights)]
    if averaged:
        mean = {key: fmean(row[key] for row in averaged) for key in (*KEYS, "base")}
        rows.append({"label": MEAN, **mean})
    return rows


def _averaged(weights: dict[str, float]) -> list[str]:
    return [name for name in weights if name != "engaged"] or list(weights)


def _frequent(events: pl.DataFrame, weights: dict[str, float]) -> dict[str, float]:
    def enough(name: str) -> bool:
        return MIN_POSITIVES <= int(events[name].sum()) < len(events)

    return {name: weight for name, weight in weights.items() if enough(name)}


def _draws(user: NDArray[np.int64], replicates: int, rng: np.random.Generator) -> Values:
    """Multiplicity of each event in each resample of whole users, ``(n, replicates)``."""
    row = np.unique(user, return_inverse=True)[1]
    num_users = int(row.max()) + 1
    counts = rng.multinomial(num_users, np.full(num_users, 1 / num_users), size=replicates)
    drawn: Values = counts.T[row].astype(np.float64)
    return drawn
