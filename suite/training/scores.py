"""What a model says of events: a table with a logit for each label, and its columns by name."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.base import Model
from models.network import Network
from suite.artifacts.features import Features
from suite.cluster import sharded
from suite.training import batches

FINETUNED = "finetuned_"
"""Begins the names of the logits after fine-tuning."""


def logit(label: str) -> str:
    """Name of the column with the logit of a label; that of ``engaged`` is just ``logit``."""
    return "logit" if label == "engaged" else f"logit_{label}"


def labels(scores: pl.DataFrame) -> list[str]:
    """Labels that a table of scores is about, ``engaged`` first."""
    return [name for name in scores.columns if logit(name) in scores.columns]


def log_odds(
    scores: pl.DataFrame, label: str, positive_weight: float, prefix: str = ""
) -> NDArray[np.float64]:
    """Log odds of a label, ``(n,)``: its logits less the log of the weight of positives.

    The weighted loss is minimized by logits that are that much too large.
    """
    found = scores[prefix + logit(label)].to_numpy().astype(np.float64)
    corrected: NDArray[np.float64] = found - np.log(positive_weight)
    return corrected


def mean_auc(label: NDArray[Any], logit: NDArray[np.floating]) -> float:
    """AUC of each label with both classes, averaged: by it epochs and trials are chosen.

    Parameters
    ----------
    label : (n, L)
        What happened, 0 or 1, ``engaged`` first.
    logit : (n, L')
        Of the first L' labels.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        ``engaged`` is the same for all events.
    """
    both = label.min(axis=0) < label.max(axis=0)
    if not both[0]:
        raise ValueError(
            f"validation: label engaged is always {int(label[0, 0])} among the {len(label)} events "
            "of trained users, both classes are needed to choose by AUC"
        )
    scored = np.flatnonzero(both[: logit.shape[1]])
    return fmean(float(roc_auc_score(label[:, k], logit[:, k])) for k in scored)


def score(model: Model, features: Features) -> pl.DataFrame:
    """Score every validation and test event, held-out users included.

    Parameters
    ----------
    model
        Fitted.
    features
        Of all events.

    Returns
    -------
    DataFrame
        ``event_id, user_id, window``, and ``engaged`` with ``logit``; for every further label of
        the model its name and ``logit_<name>``.
    """
    rows = np.concatenate([batches.rows(features, w) for w in ("validation", "test")])
    chunks = list(batches.chunks(features, rows, size=batches.EVENTS_AT_ONCE))
    needed = replace(features, events=features.events.select("row"))
    (logits,) = sharded.each(_logits, [chunks], model, needed, gpu=isinstance(model, Network))
    return table(features.events[np.concatenate(chunks)], features, logits)


def table(events: pl.DataFrame, features: Features, logits: NDArray[np.floating]) -> pl.DataFrame:
    """Set the logits ``(n, L)`` of the first L labels beside the n events that they are of."""
    names = features.label_names[: logits.shape[1]]
    return events.select(
        "event_id",
        "user_id",
        "window",
        *(
            column
            for name, found in zip(names, logits.T, strict=True)
            for column in (name, pl.Series(logit(name), found, dtype=pl.Float32))
        ),
    )


def _logits(
    chunks: list[NDArray[np.int64]], model: Model, features: Features
) -> NDArray[np.float32]:
    """Score chunks of events one after the other."""
    sharded.on_gpu(model)
    return np.concatenate([model.score(batches.gather(features, chunk)) for chunk in chunks])


def with_finetuned(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Set the logits after fine-tuning beside those before."""
    found = after.select(
        "event_id", *(pl.col(logit(name)).alias(FINETUNED + logit(name)) for name in labels(after))
    )
    return before.join(found, on="event_id", how="left", maintain_order="left")
