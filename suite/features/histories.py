"""Summaries of histories, computed in pieces to bound memory.

A history has hundreds of steps; its summary is 27 aggregates and the last 50 steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.features.aggregates import AGGREGATES, CHANNELS, NUM_STEPS, aggregates, favorite_category

PIECE = 10_000
"""Number of histories summarized at a time: about 2 million steps, and 0.3 GiB."""


@dataclass(frozen=True)
class Summaries:
    """Summaries of R histories, before standardization.

    Attributes
    ----------
    aggregates
        R rows of ``suite.features.aggregates.AGGREGATES``, float64.
    sequence : (R, 50, 2)
        Channels of the last 50 steps, left-aligned; a null step and padding are 0.
    mask : (R, 50)
        True if the step exists.
    favorite
        R names of categories; null if no step has a known one.
    """

    aggregates: pl.DataFrame
    sequence: NDArray[np.float32]
    mask: NDArray[np.bool_]
    favorite: pl.Series

    def steps(self, rows: NDArray[np.bool_] | slice) -> pl.DataFrame:
        """List the existing steps of some histories, one per row, float64."""
        values = self.sequence[rows][self.mask[rows]]
        return pl.DataFrame(values, schema=list(CHANNELS)).cast(pl.Float64)


def summarize_all(events: pl.DataFrame, histories: pl.LazyFrame, **how: object) -> Summaries:
    """Summarize the histories of events, in the order of the events' ``row``.

    Parameters
    ----------
    events
        ``row, window, user_id``; rows are numbered from 0.
    histories
        Canonical histories, possibly more than those of the events.
    how
        As for ``summarize``.

    Raises
    ------
    ValueError
        A row has no history.
    """
    wanted = events.select("row", "window", "user_id").unique("row")
    matching = histories.filter(pl.col("time").list.len() > 0).join(
        wanted.lazy(), on=["window", "user_id"]
    )
    seen = np.zeros(wanted.height, dtype=np.bool_)

    def pieces() -> Iterator[pl.DataFrame]:
        for piece in matching.collect_batches(chunk_size=PIECE, engine="streaming"):
            seen[piece["row"].to_numpy()] = True
            yield piece

    result = summarize(pieces(), wanted.height, **how)  # type: ignore[arg-type]
    if not seen.all():
        first = wanted.filter(pl.col("row") == int(np.argmin(seen)))
        window, user = first.select("window", "user_id").row(0)
        raise ValueError(
            f"histories: missing {int((~seen).sum())} of {len(seen)} that events need, first that "
            f"of user_id {user} in window {window}; the dataset must drop such events"
        )
    return result


def summarize(
    pieces: Iterable[pl.DataFrame],
    num_histories: int,
    *,
    items: pl.LazyFrame,
    starts: Mapping[str, datetime],
    time_zone: str,
) -> Summaries:
    """Summarize histories given in pieces, in any order.

    Parameters
    ----------
    pieces
        Canonical histories, each with at least one step and ``row``, its row in the result.
    num_histories
        R.
    items
        Canonical items; a missing item has an unknown category.
    starts
        Start of each window (UTC).
    time_zone
        IANA name of the users' zone.
    """
    categories = items.select("item_id", "category").collect().lazy()
    values = np.empty((len(AGGREGATES), num_histories))
    sequence = np.zeros((num_histories, NUM_STEPS, len(CHANNELS)), dtype=np.float32)
    mask = np.zeros((num_histories, NUM_STEPS), dtype=np.bool_)
    favorites = [pl.DataFrame(schema={"row": pl.Int64, "category": pl.String})]
    for piece in pieces:
        row = piece["row"].to_numpy()
        table = aggregates(piece.lazy().drop("row"), categories, starts=starts, time_zone=time_zone)
        values[:, row] = table.collect().to_numpy().T
        favorites.append(favorite_category(piece.lazy(), categories).collect())
        exists = np.arange(NUM_STEPS) < piece["time"].list.len().to_numpy()[:, None]
        last = piece.select(pl.col(CHANNELS).list.tail(NUM_STEPS)).explode(CHANNELS).fill_null(0)
        # Row-major order of a left-aligned mask is the order of the exploded steps.
        steps = np.zeros((*exists.shape, len(CHANNELS)), dtype=np.float32)
        steps[exists] = last.to_numpy()
        sequence[row], mask[row] = steps, exists
    columns = zip(AGGREGATES, values, strict=True)
    numbered = pl.DataFrame({"row": range(num_histories)}, schema={"row": pl.Int64})
    favorite = numbered.join(pl.concat(favorites), on="row", how="left", maintain_order="left")
    return Summaries(pl.DataFrame(dict(columns)), sequence, mask, favorite["category"])
