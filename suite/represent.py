"""Model + events -> Representation: the vectors as released, before any defense."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from models.base import NUM_CATEGORIES, NUM_TYPES, Model
from models.network import Network
from suite import batches, registry, shards
from suite.features import Features
from suite.spec import Part, Release
from suite.train import Fitted, build

EVENTS_PER_SHARD = 32_768
EVENTS_PER_CHUNK = 4_096

PCA_DIMENSIONS = 64
"""As many as the torch models release."""


@dataclass(frozen=True)
class Representation:
    """Released vectors of n events, in the order of the features' events.

    Attributes
    ----------
    user_id : (n,)
        Who the vector describes.
    event_id : (n,)
        The event that it was computed for.
    vector : (n, d)
        What is released.
    """

    user_id: NDArray[np.int64]
    event_id: NDArray[np.int64]
    vector: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        """Write representation.parquet, which ``latentprint audit`` takes as well."""
        d = self.vector.shape[1]
        vector = pa.FixedSizeListArray.from_arrays(pa.array(self.vector.reshape(-1)), d)
        table = pa.table([self.user_id, self.event_id, vector], ["user_id", "event_id", "vector"])
        pq.write_table(table, folder / "representation.parquet", compression="none")

    @classmethod
    def load(cls, folder: Path) -> Representation:
        """Read what ``save`` wrote."""
        table = pq.read_table(folder / "representation.parquet").combine_chunks()
        vector = table["vector"].chunk(0)
        return cls(
            user_id=table["user_id"].to_numpy(),
            event_id=table["event_id"].to_numpy(),
            vector=vector.flatten().to_numpy().reshape(len(table), vector.type.list_size),
        )


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
        ``model``: what the model's ``represent`` gives. ``raw``: its scaled user-side inputs,
        aggregates and the flattened sequence with zeros as padding. ``context_only``: its item
        and context inputs, categories as indicators. ``random_net``: what the model gives with its
        untrained weights, all 0 for a model that has none. ``pca``: ``raw`` in 64 dimensions, the
        axes fitted on trained users' train histories.
    seed
        Of the untrained weights; no other release needs one.

    Returns
    -------
    Representation
        One vector per event, in the order of ``features.events``.
    """
    built: Model = registry.create("models", model.name, model.parameters)
    rows = np.arange(len(features.events))
    if release == "raw":
        vector = _user_side(built, features)[history_rows(features)]
    elif release == "pca":
        vector = _principal(_user_side(built, features), features)[history_rows(features)]
    elif release == "context_only":
        vector = _event_side(built, features)
    else:
        if release == "random_net":
            assert seed is not None
            state = build(model, seed).state()
        else:
            assert fitted is not None
            state = fitted.state
        pieces = list(batches.chunks(features, rows, size=EVENTS_PER_SHARD))
        found = shards.each(_vectors, pieces, model, state, features)
        vector = np.empty((len(rows), found[0].shape[1]), np.float32)
        vector[np.concatenate(pieces)] = np.concatenate(found)
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
    if isinstance(built, Network) and torch.cuda.is_available():
        built.to("cuda")
    found = [
        built.represent(batches.gather(features, chunk))
        for chunk in batches.chunks(features, rows, size=EVENTS_PER_CHUNK)
    ]
    return np.concatenate(found)


def history_rows(features: Features) -> NDArray[np.int64]:
    """Row of each event's history, ``(E,)``."""
    return features.events["row"].to_numpy()


def _user_side(model: Model, features: Features) -> NDArray[np.float32]:
    """Concatenate the inputs of each history, ``(R, d)``."""
    inputs = [features.aggregates[:, : model.num_aggregates]]
    if model.uses_sequence:
        steps = np.where(features.mask[:, :, None], features.sequence, 0)
        inputs.append(steps.reshape(len(steps), -1))
    return np.concatenate(inputs, axis=1, dtype=np.float32)


def _principal(inputs: NDArray[np.float32], features: Features) -> NDArray[np.float32]:
    fitted_on = np.unique(history_rows(features)[batches.rows(features, "train", trained=True)])
    axes = PCA(min(PCA_DIMENSIONS, *inputs[fitted_on].shape), svd_solver="full")
    principal: NDArray[np.float32] = axes.fit(inputs[fitted_on]).transform(inputs)
    return principal.astype(np.float32)


def _event_side(model: Model, features: Features) -> NDArray[np.float32]:
    category = np.eye(NUM_CATEGORIES, dtype=np.float32)[features.categorical[:, 0]]
    item_type = np.eye(NUM_TYPES, dtype=np.float32)[features.categorical[:, 1]]
    continuous = features.continuous[:, : model.num_continuous]
    return np.concatenate([category, item_type, continuous], axis=1)
