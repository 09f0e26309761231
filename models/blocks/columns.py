"""Inputs of models without embeddings: numbers and indicators, concatenated.

Shape letters: B events, F wide features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.base import NUM_CATEGORIES, NUM_TYPES, Batch, Model

NUM_COLUMNS = Model.num_aggregates + NUM_CATEGORIES + NUM_TYPES + Model.num_continuous
"""Number of columns without wide features."""


def columns(batch: Batch) -> NDArray[np.float32]:
    """Concatenate aggregates, one-hot category and type, continuous and wide columns.

    Returns
    -------
    (B, 83 + F)
        NaN if a wide feature is unknown.
    """
    category, item_type = batch.categorical.T
    return np.concatenate(
        [
            batch.aggregates[batch.user_row],
            np.eye(NUM_CATEGORIES, dtype=np.float32)[category],
            np.eye(NUM_TYPES, dtype=np.float32)[item_type],
            batch.continuous,
            batch.wide,
        ],
        axis=1,
    )
