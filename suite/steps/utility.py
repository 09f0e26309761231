"""How well the labels are predicted from what is released."""

from __future__ import annotations

from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from models.base import Model
from suite import utility as metrics
from suite.artifacts.features import Features
from suite.artifacts.fitted import Fitted
from suite.artifacts.predictions import Predictions
from suite.artifacts.representation import Representation
from suite.parts import Part
from suite.training import batches, scores
from suite.training.build import build

Logits = NDArray[np.floating[Any]]

STRENGTHS = (1e-4, 1e-2, 1.0)
"""Inverse L2 penalties of a refitted head, chosen among on validation."""

MOST_FITTED_TO = 200_000
"""Train events, evenly spread, that a head is refitted to."""

KEYS = ("auc", "auc_low", "auc_high", "auc_doubt", "ap", "f1", "log_loss")
"""Figures of the row."""


def utility(
    features: Features,
    *results: Representation | Fitted,
    model: Part | None = None,
    seed: int | None = None,
) -> Predictions:
    """Measure AUC, AP, F1 and log loss on the test window.

    Undefended, a model's own scores are measured. From any other release the labels are predicted
    anew, by a logistic regression for each, fitted on the train window's trained users, its
    strength chosen on their validation events. The vectors of a defended model are also given to
    the model's own head; the figures are those of the better of the two on validation.

    Parameters
    ----------
    features
        Events with their labels and windows.
    results
        The vectors as they are released, where they are not a model's undefended ones; then the
        fitted model, where they are a model's.
    model, seed
        What the fitted model is built from; None where its head is not asked.

    Returns
    -------
    Predictions
        The row has ``auc_own_head`` and ``auc_refitted`` too, both on test; None for a head that
        was not asked, or cannot read the vectors.

    Raises
    ------
    ValueError
        The label is the same for all events of a window.
    """
    fitted = next((r for r in results if isinstance(r, Fitted)), None)
    released = next((r for r in results if isinstance(r, Representation)), None)
    if released is not None:
        own = None if fitted is None or model is None else _built(model, seed, features, fitted)
        row, extra = _of_vectors(features, released, fitted, own)
    else:
        assert fitted is not None
        row, extra = _figures(fitted.scores, fitted.positive_weight)
        row |= {"auc_own_head": None, "auc_refitted": None}
    if fitted is not None:
        row["num_parameters"] = fitted.num_parameters
        row["note"] = fitted.note
        extra |= fitted.facts
        extra["train/examples_per_s"] = fmean(e["examples_per_s"] for e in fitted.history)
    return Predictions(row, extra)


def _built(model: Part, seed: int | None, features: Features, fitted: Fitted) -> Model:
    assert seed is not None
    built = build(model, seed, features)
    built.load_state(fitted.state)
    return built


def _of_vectors(
    features: Features, released: Representation, fitted: Fitted | None, own: Model | None
) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure the better head on validation."""
    positions = batches.positions(features, released.event_id)
    window = features.events["window"].to_numpy()[positions]
    later = np.flatnonzero((window == "validation") | (window == "test"))
    weights = fitted.positive_weight if fitted else [1.0] * len(features.label_names)
    refitted = _refitted(features, released.vector, positions, len(weights))[later]
    heads = {"refitted": (refitted, [1.0] * len(weights))}
    if own is not None and (logits := _own_head(own, features, released.vector[later])) is not None:
        heads = {"own_head": (logits, weights), **heads}
    events, label = features.events[positions[later]], features.labels[positions[later], :1]
    chosen_on = ((events["window"] == "validation") & events["trained"]).to_numpy()
    test = (events["window"] == "test").to_numpy()

    def auc(name: str, rows: NDArray[np.bool_]) -> float:
        return scores.mean_auc(label[rows], heads[name][0][rows, :1])

    logits, weights = heads[max(heads, key=lambda name: auc(name, chosen_on))]
    row, extra = _figures(scores.table(events, features, logits), weights)
    by_head = {f"auc_{n}": auc(n, test) if n in heads else None for n in ("own_head", "refitted")}
    return row | by_head, extra


def _own_head(own: Model, features: Features, vectors: NDArray[np.float32]) -> Logits | None:
    """Logits that the model's own head gives to the vectors; None where it cannot read them."""
    one = own.represent(batches.gather(features, np.zeros(1, np.int64)))
    return own.head(vectors) if one.shape[1] == vectors.shape[1] else None


def _refitted(
    features: Features, vectors: NDArray[np.float32], positions: NDArray[np.int64], num_labels: int
) -> Logits:
    """Logits of a regression on the vectors for each label, ``(n, num_labels)``."""
    events = features.events[positions]
    train, validation = (
        np.flatnonzero((events["window"] == name) & events["trained"])
        for name in ("train", "validation")
    )
    train = train[:: -(-len(train) // MOST_FITTED_TO) or 1]
    scaled = StandardScaler().fit(vectors[train]).transform(vectors)
    logits = np.zeros((len(vectors), num_labels), np.float32)
    for number, name in enumerate(features.label_names[:num_labels]):
        label = features.labels[positions, number] > 0.5
        if label[train].all() or not label[train].any():
            if number:
                continue  # nothing to learn: chance, as of any constant
            raise ValueError(
                f"utility: label {name} is always {int(label[train].all())} among the {len(train)} "
                "train events of trained users, both classes are needed to fit a head"
            )
        logits[:, number] = _chosen(scaled, label, train, validation)
    return logits


def _chosen(
    scaled: NDArray[np.float32],
    label: NDArray[np.bool_],
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
) -> Logits:
    """Logits of the regression whose strength is best on validation, ``(n,)``."""
    both = 0 < np.count_nonzero(label[validation]) < len(validation)
    best, chosen = -1.0, np.zeros(len(scaled))
    for strength in STRENGTHS if both else STRENGTHS[1:2]:
        # Second-order steps: a handful for any of the strengths, where L-BFGS takes hundreds.
        head = LogisticRegression(C=strength, solver="newton-cholesky")
        logits = head.fit(scaled[train], label[train]).decision_function(scaled)
        judged = (label[validation, None], logits[validation, None])
        auc = scores.mean_auc(*judged) if both else 1.0
        if auc > best:
            best, chosen = auc, logits
    return chosen


def _figures(
    table: pl.DataFrame, positive_weight: list[float]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure a table of scores: keys of the row, and what the tracker shows besides."""
    validation, test = (metrics.Scores.of(table, window) for window in ("validation", "test"))
    found = asdict(metrics.utility(validation, test, positive_weight[0]))
    row = {key: found[key] for key in KEYS}
    return row, {"utility/rce": found["rce"]} | _by_label(table, positive_weight)


def _by_label(table: pl.DataFrame, positive_weight: list[float]) -> dict[str, float]:
    """AP and RCE of every label on test, where there are several."""
    names = scores.labels(table)
    test = table.filter(pl.col("window") == "test")
    found = {}
    for name, weight in zip(names, positive_weight, strict=True):
        label = test[name].to_numpy()
        if len(names) > 1 and 0 < label.mean() < 1:
            log_odds = scores.log_odds(test, name, weight)
            found[f"utility/ap_{name}"] = float(average_precision_score(label, log_odds))
            found[f"utility/rce_{name}"] = metrics.relative_cross_entropy(log_odds, label)
    return found
