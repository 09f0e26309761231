"""Token ids of the items' texts, each distinct text once."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

NUM_TOKENS = 64
"""Maximum number of tokens of a text: about that of the longest tweets."""


def texts(events: pl.DataFrame, items: pl.LazyFrame) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Find the distinct texts of the events' items.

    Parameters
    ----------
    events
        E rows with ``item_id``.
    items
        With ``item_id``, and ``tokens`` if the data has texts.

    Returns
    -------
    tokens : (V, T)
        Token ids, T at most 64, 0 as padding.
    text_row : (E,)
        Row of each event's text in ``tokens``.
    """
    if "tokens" not in items.collect_schema():
        return np.zeros((1, 0), np.int32), np.zeros(events.height, np.int64)
    item = events.select("item_id").unique(maintain_order=True).with_row_index("text")
    ids = (
        item.lazy()
        .join(items, on="item_id", how="left", maintain_order="left")
        .select(pl.col("tokens").fill_null([]))
        .collect()["tokens"]
    )
    long = pl.concat_list(ids.list.head(NUM_TOKENS - 1), ids.list.tail(1))
    cut = pl.select(pl.when(ids.list.len() > NUM_TOKENS).then(long).otherwise(ids)).to_series()
    length = cut.list.len().to_numpy()
    padded = np.zeros((len(cut), int(length.max())), np.int32)
    # Row-major order of a left-aligned mask is the order of the exploded ids.
    padded[np.arange(padded.shape[1]) < length[:, None]] = cut.explode().drop_nulls().to_numpy()
    tokens, text = np.unique(padded, axis=0, return_inverse=True)
    row = events.select("item_id").join(item, on="item_id", maintain_order="left")["text"]
    return tokens, text.reshape(-1)[row.to_numpy()].astype(np.int64, copy=False)
