"""Model + events -> Representation: the vectors as released, before any defense."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from models.base import NUM_CATEGORIES, NUM_TYPES, Model
from models.network import Network
from suite import registry
from suite.artifacts.features import Features
from suite.artifacts.fitted import Fitted
from suite.artifacts.representation import Representation
from suite.cluster import sharded
from suite.parts import Part, Release
from suite.steps.inputs import READER, inputs, standardized
from suite.training import batches
from suite.training.build import build

EVENTS_PER_SHARD = 200_000


PCA_DIMENSIONS = 64
"""Same number as for the torch models."""

CONTENT = ("content", "creator")
"""Groups of wide features about what the user was shown."""


def represent(
    features: Features,
    fitted: Fitted | None = None,
    *,
    model: Part,
    release: Release,
    seed: int | None = None,
) -> Representation:
    """Compute the released vector of every event.

    Parameters
    ----------
    features
        Events of all windows.
    fitted
        Weights; only the release ``model`` needs them.
    model
        Which model, and so which inputs ``raw`` and ``context_only`` consist of.
    release
        ``model``: what the model's ``represent`` gives. ``raw``: all its scaled user-side
        inputs, see ``suite.steps.inputs``. ``context_only``: its item and context inputs,
        categories as indicators, and the wide features about item and creator; texts are left
        out, as token ids are no vectors. ``random_net``: what the model gives with its untrained
        weights, all 0 for a model that has none. ``pca``: ``raw`` in 64 dimensions, the
        axes fitted on trained users' train histories, or events where there are wide features.
    seed
        Of the untrained weights; no other release needs one.

    Returns
    -------
    Representation
        One vector per event, in the order of ``features.events``.
    """
    built: Model = registry.create("models", model.name, model.parameters)
    rows = np.arange(len(features.events))
    if release in ("raw", "pca"):
        vector = inputs(
            features,
            num_aggregates=built.num_aggregates,
            sequence=built.uses_sequence,
            wide=built.uses_wide,
        ).vector
        if release == "pca":
            vector = _principal(vector, built, features)
    elif release == "context_only":
        vector = _event_side(built, features)
    else:
        if release == "random_net":
            assert seed is not None
            state = build(model, seed, features).state()
        else:
            assert fitted is not None
            state = fitted.state
        pieces = list(batches.chunks(features, rows, size=EVENTS_PER_SHARD))
        # Of the events a model needs their histories alone; the rest would travel in vain.
        needed = replace(features, events=features.events.select("row"))
        vector = np.empty((len(rows), 0), np.float32)
        on_gpu = isinstance(built, Network)
        released = sharded.each(_vectors, pieces, model, state, needed, gpu=on_gpu)
        for piece, found in zip(pieces, released, strict=True):
            if not vector.size:
                vector = np.empty((len(rows), found.shape[1]), np.float32)
            vector[piece] = found
    return Representation(
        user_id=features.events["user_id"].to_numpy(),
        event_id=features.events["event_id"].to_numpy(),
        vector=vector,
    )


def _vectors(
    rows: NDArray[np.int64], model: Part, state: dict[str, NDArray[Any]], features: Features
) -> NDArray[np.float32]:
    """Vectors of some events, in the order of ``rows``; each history is encoded once."""
    built: Model = registry.create("models", model.name, model.parameters)
    built.load_state(state)
    sharded.on_gpu(built)
    found = [
        built.represent(batches.gather(features, chunk))
        for chunk in batches.chunks(features, rows, size=batches.EVENTS_AT_ONCE)
    ]
    return np.concatenate(found)


def history_rows(features: Features) -> NDArray[np.int64]:
    """Row of each event's history, ``(E,)``."""
    return features.events["row"].to_numpy()


def _principal(
    inputs: NDArray[np.float32], model: Model, features: Features
) -> NDArray[np.float32]:
    fitted_on = batches.rows(features, "train", trained=True)
    if not (model.uses_wide and standardized(features, READER).shape[1]):
        # Every event of a history has the same inputs: an active user must not count for more.
        _, first = np.unique(history_rows(features)[fitted_on], return_index=True)
        fitted_on = fitted_on[first]
    axes = PCA(min(PCA_DIMENSIONS, *inputs[fitted_on].shape), svd_solver="full")
    principal: NDArray[np.float32] = axes.fit(inputs[fitted_on]).transform(inputs)
    return principal.astype(np.float32)


def _event_side(model: Model, features: Features) -> NDArray[np.float32]:
    category = np.eye(NUM_CATEGORIES, dtype=np.float32)[features.categorical[:, 0]]
    item_type = np.eye(NUM_TYPES, dtype=np.float32)[features.categorical[:, 1]]
    continuous = features.continuous[:, : model.num_continuous]
    wide = [standardized(features, CONTENT)] if model.uses_wide else []
    return np.concatenate([category, item_type, continuous, *wide], axis=1)
