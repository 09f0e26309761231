"""The 27 aggregates of a user's history, computed with Polars, one row per history.

Conventions: null elements are skipped, except that the three rates count a null as not reached, as
the label does; an unknown category is a null element of the entropy; a momentum compares the last
five steps, however many of them are null; standard deviations divide by n; quantiles interpolate
linearly; days and hours are local. Undefined values are 0, an undefined momentum is 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

import polars as pl

from suite.datasets.windows import start_of

CHANNELS = ("channel_1", "channel_2")

NUM_STEPS = 50
"""Number of most recent steps of a history in a sequence."""

_SUMMARY = ("mean", "std", "min", "p25", "median", "p75", "max")

AGGREGATES = (
    *(f"{channel}_{name}" for channel in CHANNELS for name in _SUMMARY),
    "log_length",
    "distinct_share",
    "category_entropy",
    "active_days",
    "log_hours_since_last",
    "weekend_share",
    "evening_share",
    "engagement_rate",
    "deep_scroll_rate",
    "long_read_rate",
    "channel_1_momentum",
    "channel_2_momentum",
    "channel_correlation",
)
"""Names in the order of ``Batch.aggregates``: 21 general ones, 6 for the sequence model."""


def aggregates(
    histories: pl.LazyFrame,
    items: pl.LazyFrame,
    *,
    starts: Mapping[str, datetime],
    time_zone: str,
) -> pl.LazyFrame:
    """Compute the columns ``AGGREGATES`` of each history, float64, in the order of the input.

    Parameters
    ----------
    histories
        Canonical histories, each with at least one step.
    items
        Canonical items; a missing item has an unknown category.
    starts
        Start of each window (UTC), for histories without their own.
    time_zone
        IANA name of the users' zone.
    """
    rows = histories.with_row_index("row")
    steps = (
        rows.select("row", "time", "item_id", *CHANNELS)
        .explode("time", "item_id", *CHANNELS)
        .with_columns(
            pl.col("time").dt.convert_time_zone(time_zone), pl.col(CHANNELS).cast(pl.Float64)
        )
    )
    whole = rows.select(
        "row",
        pl.col("time").list.len().log1p().alias("log_length"),
        (pl.col("item_id").list.n_unique() / pl.col("item_id").list.len()).alias("distinct_share"),
        _hours_since_last(start_of(histories, starts)).log1p().alias("log_hours_since_last"),
        *(_momentum(channel).alias(f"{channel}_momentum") for channel in CHANNELS),
    )
    return (
        whole.join(steps.group_by("row").agg(_over_steps()), on="row", how="left")
        .join(_category_entropy(steps, items), on="row", how="left")
        .sort("row")
        .select(pl.col(AGGREGATES).cast(pl.Float64).fill_null(0))
    )


def favorite_category(histories: pl.LazyFrame, items: pl.LazyFrame) -> pl.LazyFrame:
    """Find the most frequent known category of each history; ties are resolved by name.

    Parameters
    ----------
    histories
        Canonical histories with their number, ``row``.
    items
        Canonical items; a missing item has an unknown category.

    Returns
    -------
    polars.LazyFrame
        ``row, category``, in any order, without histories that have no known category.
    """
    steps = histories.select(pl.col("row").cast(pl.Int64), "item_id").explode("item_id")
    return (
        _category_counts(steps, items)
        .sort("row", "len", "category", descending=[False, True, False])
        .group_by("row")
        .agg(pl.col("category").first())
    )


def _over_steps() -> list[pl.Expr]:
    first, second = (pl.col(channel) for channel in CHANNELS)
    local = pl.col("time").dt
    return [
        *(expr for channel in CHANNELS for expr in _summary(channel)),
        local.date().n_unique().alias("active_days"),
        (local.weekday() >= 6).mean().alias("weekend_share"),
        (local.hour() >= 18).mean().alias("evening_share"),
        _rate((first > 30) & (second > 50)).alias("engagement_rate"),
        _rate(second > 80).alias("deep_scroll_rate"),
        _rate(first > 60).alias("long_read_rate"),
        _correlation(first, second).alias("channel_correlation"),
    ]


def _summary(channel: str) -> list[pl.Expr]:
    column = pl.col(channel)
    values = (
        column.mean(),
        column.std(ddof=0),
        column.min(),
        *(column.quantile(q, interpolation="linear") for q in (0.25, 0.5, 0.75)),
        column.max(),
    )
    return [value.alias(f"{channel}_{name}") for value, name in zip(values, _SUMMARY, strict=True)]


def _rate(reached: pl.Expr) -> pl.Expr:
    return reached.fill_null(value=False).mean()


def _correlation(first: pl.Expr, second: pl.Expr) -> pl.Expr:
    """Pearson's r over the steps where neither is null; null if one of them is constant."""
    x = pl.when(second.is_not_null()).then(first)
    y = pl.when(first.is_not_null()).then(second)
    varies = (x.min() < x.max()) & (y.min() < y.max())
    return pl.when(varies).then(pl.corr(x, y).clip(-1, 1))


def _momentum(channel: str) -> pl.Expr:
    steps = pl.col(channel).cast(pl.List(pl.Float64)).list
    mean = steps.mean()
    return pl.when(mean != 0).then((steps.tail(5).list.mean() / mean).clip(0.1, 10)).fill_null(1)


def _hours_since_last(start: pl.Expr) -> pl.Expr:
    return (start - pl.col("time").list.last()).dt.total_microseconds() / 3.6e9


def _category_entropy(steps: pl.LazyFrame, items: pl.LazyFrame) -> pl.LazyFrame:
    """Shannon entropy (nats) of the known categories among each history's steps."""
    # Sorted, because the order of groups varies and the last bit of a sum depends on it.
    counts = pl.col("len").cast(pl.List(pl.Float64)).list.sort()
    entropy = counts.list.agg(pl.element().entropy(base=math.e)).abs()
    return (
        _category_counts(steps, items)
        .group_by("row")
        .agg("len")
        .select("row", entropy.alias("category_entropy"))
    )


def _category_counts(steps: pl.LazyFrame, items: pl.LazyFrame) -> pl.LazyFrame:
    """Count each history's steps by known category: ``row, category, len``, in any order."""
    with_category = items.select("item_id", "category").drop_nulls()
    return (
        steps.select("row", "item_id")
        .join(with_category, on="item_id")
        .group_by("row", "category")
        .len()
    )
