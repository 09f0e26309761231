"""What a model reads about the user, as vectors: the raw material of its representation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.artifacts.features import Features
from suite.artifacts.representation import Representation

READER = ("reader", "reader_creator")
"""Groups of wide features about the user."""


def inputs(
    features: Features, *, num_aggregates: int, sequence: bool, wide: bool
) -> Representation:
    """Take blocks of the scaled inputs about each event's user as its vector.

    If there are several, each is divided by the root of its number of columns, so that the
    longest does not decide. The sequence is flattened with zeros as padding and divided by the
    root of the number of existing values, so that its length is not told by its norm.

    Parameters
    ----------
    features
        Of all events.
    num_aggregates
        Leading columns of the aggregates; 0 leaves them out.
    sequence
        Whether the last 50 steps are among the blocks.
    wide
        Whether the wide features about the reader are, 0 where unknown.

    Returns
    -------
    Representation
        One vector per event; of blocks without any column, one zero.
    """
    row = features.events["row"].to_numpy()
    blocks = []
    if num_aggregates:
        blocks.append(features.aggregates[:, :num_aggregates][row])
    if sequence:
        blocks.append(_flat(features)[row])
    if wide:
        blocks.append(standardized(features, READER))
    blocks = [block for block in blocks if block.shape[1]] or [np.zeros((len(row), 1), np.float32)]
    if len(blocks) > 1:
        # The sequence has its scale already: the mean of its squares is that of the steps.
        width = [
            1 if sequence and n == bool(num_aggregates) else b.shape[1]
            for n, b in enumerate(blocks)
        ]
        blocks = [block / np.float32(np.sqrt(w)) for block, w in zip(blocks, width, strict=True)]
    return Representation(
        user_id=features.events["user_id"].to_numpy(),
        event_id=features.events["event_id"].to_numpy(),
        vector=np.concatenate(blocks, axis=1, dtype=np.float32),
    )


def standardized(features: Features, groups: tuple[str, ...]) -> NDArray[np.float32]:
    """Standardized wide features of some groups, 0 where unknown, ``(E, f)``."""
    chosen = np.flatnonzero([feature.group in groups for feature in features.wide_features])
    mean, std = (
        np.array(features.statistics[f"wide_{name}"], np.float32)[chosen]
        for name in ("mean", "std")
    )
    scaled: NDArray[np.float32] = (features.wide[:, chosen] - mean) / std
    return np.nan_to_num(scaled)


def _flat(features: Features) -> NDArray[np.float32]:
    """Flatten each history's steps; their squares add up to the mean of those that exist."""
    steps = np.where(features.mask[:, :, None], features.sequence, 0).reshape(
        len(features.mask), -1
    )
    existing = features.mask.sum(axis=1) * features.sequence.shape[2]
    flat: NDArray[np.float32] = steps / np.sqrt(np.maximum(existing, 1), dtype=np.float32)[:, None]
    return flat
