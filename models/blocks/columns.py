"""What models without embeddings read of an event: numbers and indicators side by side.

Shape letters: B events, F wide features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.base import NUM_CATEGORIES, NUM_TYPES, Batch, Model

NUM_COLUMNS = Model.num_aggregates + NUM_CATEGORIES + NUM_TYPES + Model.num_continuous
"""Of data without wide features."""


def columns(batch: Batch) -> NDArray[np.float32]:
    """Lay aggregates, one-hot category and type, continuous and wide columns side by side.

    Returns
    -------
    (B, 83 + F)
        NaN where a wide feature is unknown.
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
