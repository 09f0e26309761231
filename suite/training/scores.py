"""Scores of events: a table with a logit for each label."""

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
from suite import utility
from suite.artifacts.features import Features
from suite.cluster import sharded
from suite.training import batches

FINETUNED = "finetuned_"
"""Prefix of the columns with logits after fine-tuning."""


def logit(label: str) -> str:
    """Return the name of the column with a label's logit; for ``engaged`` it is ``logit``."""
    return "logit" if label == "engaged" else f"logit_{label}"


def labels(scores: pl.DataFrame) -> list[str]:
    """List the labels of a table of scores, ``engaged`` first."""
    return [name for name in scores.columns if logit(name) in scores.columns]


def log_odds(
    scores: pl.DataFrame, label: str, positive_weight: float, prefix: str = ""
) -> NDArray[np.float64]:
    """Log odds of a label, ``(n,)``, see ``suite.utility.log_odds``."""
    return utility.log_odds(scores[prefix + logit(label)].to_numpy(), positive_weight)


def mean_auc(label: NDArray[Any], logit: NDArray[np.floating]) -> float:
    """Mean AUC of the labels with both classes, the criterion for epochs and trials.

    Parameters
    ----------
    label : (n, L)
        Labels, 0 or 1, ``engaged`` first.
    logit : (n, L')
        Logits of the first L' labels.

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
            "of trained users; selection by AUC needs both classes"
        )
    scored = np.flatnonzero(both[: logit.shape[1]])
    return fmean(float(roc_auc_score(label[:, k], logit[:, k])) for k in scored)


def score(model: Model, features: Features) -> pl.DataFrame:
    """Score every validation and test event, held-out users included.

    Parameters
    ----------
    model
        A fitted model.
    features
        Features of all events.

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
    """Join the logits ``(n, L)`` of the first L labels to their n events."""
    names = features.label_names[: logits.shape[1]]
    return events.select(
        "event_id",
        "user_id",
        "window",
        *(
            column
            for name, values in zip(names, logits.T, strict=True)
            for column in (name, pl.Series(logit(name), values, dtype=pl.Float32))
        ),
    )


def _logits(
    chunks: list[NDArray[np.int64]], model: Model, features: Features
) -> NDArray[np.float32]:
    """Score chunks of events in sequence."""
    sharded.on_gpu(model)
    return np.concatenate([model.score(batches.gather(features, chunk)) for chunk in chunks])


def with_finetuned(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Add the logits after fine-tuning to the table of those before."""
    finetuned = after.select(
        "event_id", *(pl.col(logit(name)).alias(FINETUNED + logit(name)) for name in labels(after))
    )
    return before.join(finetuned, on="event_id", how="left", maintain_order="left")
