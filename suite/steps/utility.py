"""How well the labels are predicted from what is released."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
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

    The labels are predicted from the vectors by a logistic regression for each, fitted on the train
    window's trained users, its strength chosen on their validation events. The vectors of a
    defended model are also given to the model's own head, and the figures are those of the better
    of the two on validation. Those of a model's undefended vectors are those of its own scores, and
    only labels that it does not score are predicted from them.

    Parameters
    ----------
    features
        Events with their labels and windows.
    results
        The vectors as they are released; then the fitted model, where they are a model's.
    model, seed
        What the fitted model is built from, for its head; None where the vectors are undefended.

    Returns
    -------
    Predictions
        The row has ``auc_own_head`` and ``auc_refitted`` too, both on test. The former is None
        where there is no model, or its head cannot read the vectors.

    Raises
    ------
    ValueError
        The label is the same for all events of a window.
    """
    fitted = next((r for r in results if isinstance(r, Fitted)), None)
    released = next(r for r in results if isinstance(r, Representation))
    if fitted is not None and model is None:
        row, extra = _undefended(features, released, fitted)
    else:
        own = None if fitted is None or model is None else _built(model, seed, features, fitted)
        row, extra = _of_vectors(features, released, fitted, own)
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
    """Measure the better head on validation, label by label."""
    judged = _Judged.of(features, released)
    refitted = _refitted(features, released.vector, judged.positions)[judged.later]
    heads = {"refitted": (refitted, [1.0] * refitted.shape[1])}
    logits = None if own is None else _own_head(own, features, released.vector[judged.later])
    if logits is not None and fitted is not None:
        heads = {"own_head": (logits, fitted.positive_weight), **heads}
    row, extra = _figures(*judged.better(heads))
    by_head = {
        f"auc_{n}": judged.auc(heads[n][0], 0, judged.test) if n in heads else None
        for n in ("own_head", "refitted")
    }
    return row | by_head, extra


def _undefended(
    features: Features, released: Representation, fitted: Fitted
) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure a model's own scores, beside heads refitted to its vectors.

    The latter also predict the labels that the model does not score.
    """
    row, extra = _figures(fitted.scores, fitted.positive_weight)
    judged = _Judged.of(features, released)
    refitted = _refitted(features, released.vector, judged.positions)[judged.later]
    row |= {"auc_own_head": row["auc"], "auc_refitted": judged.auc(refitted, 0, judged.test)}
    num_scored = len(fitted.positive_weight)
    if refitted.shape[1] > num_scored:
        own = judged.events.select("event_id").join(fitted.scores, on="event_id", how="left")
        logits = own.select(map(scores.logit, scores.labels(fitted.scores))).to_numpy()
        combined = np.concatenate([logits, refitted[:, num_scored:]], axis=1)
        weights = fitted.positive_weight + [1.0] * (combined.shape[1] - num_scored)
        extra |= _by_label(scores.table(judged.events, features, combined), weights)
    return row, extra


@dataclass(frozen=True)
class _Judged:
    """The events of a release, and which of them heads are chosen and judged by."""

    features: Features
    positions: NDArray[np.int64]
    later: NDArray[np.int64]

    @classmethod
    def of(cls, features: Features, released: Representation) -> _Judged:
        positions = batches.positions(features, released.event_id)
        window = features.events["window"].to_numpy()[positions]
        later = np.flatnonzero((window == "validation") | (window == "test"))
        return cls(features, positions, later)

    @cached_property
    def events(self) -> pl.DataFrame:
        """Events of validation and test."""
        return self.features.events[self.positions[self.later]]

    @cached_property
    def test(self) -> NDArray[np.bool_]:
        return (self.events["window"] == "test").to_numpy()

    @cached_property
    def labels(self) -> NDArray[np.float32]:
        return self.features.labels[self.positions[self.later]]

    def auc(self, logits: Logits, number: int, rows: NDArray[np.bool_]) -> float:
        column = slice(number, number + 1)
        return scores.mean_auc(self.labels[rows, column], logits[rows, column])

    def better(
        self, heads: dict[str, tuple[Logits, list[float]]]
    ) -> tuple[pl.DataFrame, list[float]]:
        """Scores of each label by the head that is better on validation, and their weights."""
        chosen_on = ((self.events["window"] == "validation") & self.events["trained"]).to_numpy()
        logits, weights = heads["refitted"][0].copy(), [*heads["refitted"][1]]
        self.auc(logits, 0, chosen_on)  # refuses a label with one class, whichever heads there are
        if "own_head" in heads:
            for number, weight in enumerate(heads["own_head"][1]):
                own, column = heads["own_head"][0], self.labels[chosen_on, number]
                # Where one class is missing on validation, nothing speaks against the own head.
                if column.min() == column.max() or self.auc(own, number, chosen_on) >= self.auc(
                    logits, number, chosen_on
                ):
                    logits[:, number], weights[number] = own[:, number], weight
        return scores.table(self.events, self.features, logits), weights


def _own_head(own: Model, features: Features, vectors: NDArray[np.float32]) -> Logits | None:
    """Logits that the model's own head gives to the vectors; None where it cannot read them."""
    one = own.represent(batches.gather(features, np.zeros(1, np.int64)))
    return own.head(vectors) if one.shape[1] == vectors.shape[1] else None


def _refitted(
    features: Features, vectors: NDArray[np.float32], positions: NDArray[np.int64]
) -> Logits:
    """Logits of a regression on the vectors for each label, ``(n, L)``."""
    events = features.events[positions]
    train, validation = (
        np.flatnonzero((events["window"] == name) & events["trained"])
        for name in ("train", "validation")
    )
    train = train[:: -(-len(train) // MOST_FITTED_TO) or 1]
    scaled = StandardScaler().fit(vectors[train]).transform(vectors)
    logits = np.zeros((len(vectors), len(features.label_names)), np.float32)
    for number, name in enumerate(features.label_names):
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
    """AUC on validation; where there are several labels also AUC, AP and RCE of each on test."""
    names = scores.labels(table)
    validation, test = (table.filter(pl.col("window") == name) for name in ("validation", "test"))
    figures = {}
    for name, weight in zip(names, positive_weight, strict=True):
        end = f"_{name}" if len(names) > 1 else ""
        seen = validation[name].to_numpy()
        if 0 < seen.mean() < 1:
            logits = validation[scores.logit(name)].to_numpy()
            figures[f"utility/auc_validation{end}"] = float(roc_auc_score(seen, logits))
        label = test[name].to_numpy()
        if len(names) > 1 and 0 < label.mean() < 1:
            log_odds = scores.log_odds(test, name, weight)
            figures[f"utility/auc_{name}"] = float(roc_auc_score(label, log_odds))
            figures[f"utility/ap_{name}"] = float(average_precision_score(label, log_odds))
            figures[f"utility/rce_{name}"] = metrics.relative_cross_entropy(log_odds, label)
    return figures
