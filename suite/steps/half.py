"""One half of every history, dealt by a seeded coin: nothing of it is in the other half."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite import registry
from suite.artifacts.features import Features
from suite.datasets.base import Dataset
from suite.datasets.holdout import held_out
from suite.features.aggregates import AGGREGATES
from suite.features.encode import encode_histories
from suite.parts import Part
from suite.steps.features import read

MIN_CLICKS = 5
"""Clicks that either half of a history needs."""

PAUSE = timedelta(minutes=30)
"""A longer one between two clicks ends a session."""

DEALT = (
    "log_length",
    "active_days",
    "log_hours_since_last",
    "weekend_share",
    "evening_share",
)
"""Aggregates that say which units a half was dealt before they say whose it is."""

_KEYS = ("row", "user_id", "window")

Side = Literal["gallery", "probe"]
Deal = Literal["session", "day", "click"]


def half(features: Features, *, dataset: Part, side: Side, deal: Deal = "session") -> Features:
    """Encode one half of every history, as of the start of its window.

    Parameters
    ----------
    features
        Of the whole histories; their statistics are kept, nothing is fitted again.
    dataset
        Where the histories are read again.
    side
        Which half.
    deal
        What the coin is thrown for: a session, which ends before a pause of more than 30 minutes,
        a local day, or a click. A unit lies on the same side in the histories of all windows.

    Returns
    -------
    Features
        Events of the users and windows with at least 5 clicks on both sides. The aggregates
        ``DEALT`` are 0, the train mean, on both sides: they differ by the coin between the halves
        of one person, and what the whole history has in their place would be shared input. Wide
        features stay as they are: those describe engagements, not the history that is halved.

    Raises
    ------
    ValueError
        No history has enough clicks for two halves.
    """
    source: Dataset = registry.create("datasets", dataset.name, dataset.parameters)
    tables = read(source)
    clicks = (
        features.events.lazy()
        .select("row", "user_id", "window")
        .unique()
        .join(tables.histories, on=["user_id", "window"])
        .explode("time", "item_id", "channel_1", "channel_2")
        .sort("row", "time", maintain_order=True)
        .collect()
    )
    clicks = clicks.with_columns(in_gallery=_coin(clicks, deal, source.time_zone))
    counts = clicks.group_by("row").agg(
        gallery=pl.col("in_gallery").sum(), probe=(~pl.col("in_gallery")).sum()
    )
    enough = counts.filter(pl.min_horizontal("gallery", "probe") >= MIN_CLICKS).select("row")
    if enough.is_empty():
        msg = f"protocol disjoint: no history has {MIN_CLICKS} clicks on both of its halves"
        raise ValueError(f"{msg}, dealt by {deal}")
    histories = (
        clicks.filter(pl.col("in_gallery") == (side == "gallery"))
        .join(enough, on="row", how="semi")
        .group_by(*_KEYS, *{"start"}.intersection(clicks.columns), maintain_order=True)
        .agg("time", "item_id", "channel_1", "channel_2")
        .sort("row")
    )
    encoded = encode_histories(
        histories.drop("row"),
        tables.items,
        starts=tables.starts,
        time_zone=source.time_zone,
        statistics=features.statistics,
    )
    encoded.aggregates[:, [AGGREGATES.index(name) for name in DEALT]] = 0
    renumbered = histories.select("row").with_row_index("new")
    numbered = features.events.with_row_index("position")
    events = numbered.join(renumbered, on="row", maintain_order="left").with_columns(
        row=pl.col("new").cast(pl.Int64)
    )
    position = events["position"].to_numpy()
    return replace(
        features,
        events=events.drop("position", "new"),
        **encoded._asdict(),
        categorical=features.categorical[position],
        continuous=features.continuous[position],
        labels=features.labels[position],
        wide=features.wide[position],
        text_row=features.text_row[position],
    )


def _coin(clicks: pl.DataFrame, deal: Deal, time_zone: str) -> pl.Series:
    """Whether each click is the gallery's, the same in every window."""
    local_day = pl.col("time").dt.convert_time_zone(time_zone).dt.date().cast(pl.Int64)
    unit = {
        "session": _session(),
        "day": local_day,
        "click": pl.col("time").dt.timestamp("us"),
    }[deal]
    # Windows share clicks, and their histories may begin within a session of an earlier one.
    units = clicks.select("user_id", "time").unique().sort("user_id", "time")
    units = units.with_columns(unit=unit)
    units = units.with_columns(in_gallery=pl.Series(held_out(_key(units), 0.5)))
    return clicks.join(units, on=["user_id", "time"], how="left", maintain_order="left")[
        "in_gallery"
    ]


def _session() -> pl.Expr:
    """Time of the first click of each click's session (us)."""
    begins = (pl.col("time").diff() > PAUSE).fill_null(value=True)
    first = pl.when(begins).then(pl.col("time").dt.timestamp("us"))
    return first.forward_fill().over("user_id")


def _key(units: pl.DataFrame) -> NDArray[np.uint64]:
    user, unit = (units[name].to_numpy().astype(np.uint64) for name in ("user_id", "unit"))
    # An odd factor keeps users apart, whose ids may be consecutive, as units are.
    key: NDArray[np.uint64] = user * np.uint64(0xD1342543DE82EF95) + unit
    return key
