"""Context features: an event's time, device and item, independent of the user."""

from __future__ import annotations

import math

import polars as pl

CONTINUOUS = (
    "hour_sin",
    "hour_cos",
    "device",
    "log_hours_since_publication",
    "premium",
    "log_body_length",
    "log_title_length",
    "log_subtitle_length",
)
"""Names in the order of ``Batch.continuous``."""


def in_context(events: pl.DataFrame, items: pl.LazyFrame, time_zone: str) -> pl.DataFrame:
    """Compute the context features of each event.

    Returns
    -------
    DataFrame
        ``window`` and ``trained`` of the event, ``category`` and ``item_type`` by name, and
        ``CONTINUOUS`` in raw units; null if unknown.
    """
    local = pl.col("time").dt.convert_time_zone(time_zone).dt
    angle = (local.hour() + local.minute() / 60) * (math.tau / 24)
    hours = (pl.col("time") - pl.col("published")).dt.total_seconds() / 3600
    lengths = ("body_length", "title_length", "subtitle_length")
    values = (
        angle.sin(),
        angle.cos(),
        pl.col("device").fill_null(0),
        hours.clip(0).log1p(),
        pl.col("premium"),
        *(pl.col(length).log1p() for length in lengths),
    )
    return (
        events.lazy()
        .join(items, on="item_id", how="left", maintain_order="left")
        .select(
            "window",
            "trained",
            "category",
            "item_type",
            *(v.cast(pl.Float64).alias(name) for name, v in zip(CONTINUOUS, values, strict=True)),
        )
        .collect()
    )
