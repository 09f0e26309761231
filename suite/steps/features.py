"""The first step: a log in its native files becomes features."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import polars as pl

from suite import registry
from suite.artifacts.features import Features
from suite.datasets.base import Dataset, Tables
from suite.datasets.check import check, check_wide
from suite.datasets.holdout import held_out
from suite.features.encode import encode_histories
from suite.features.encode import features as fit_features
from suite.parts import Part

MIN_CLICKS = 5
"""Clicks that either half of a history needs."""

Side = Literal["gallery", "probe"]

_KEYS = ("row", "user_id", "window")


def prepare(*, dataset: Part, holdout_users: float) -> Features:
    """Read, check and transform a dataset.

    Raises
    ------
    ValueError
        One line: the file or table and column, what was found, what is allowed.
    """
    source: Dataset = registry.create("datasets", dataset.name, dataset.parameters)
    tables = check_wide(source.widened(read(source), holdout_users=holdout_users))
    return fit_features(tables, time_zone=source.time_zone, holdout_users=holdout_users)


def read(source: Dataset) -> Tables:
    """Read and check the tables of a dataset.

    Raises
    ------
    ValueError
        One line, also where Polars cannot make sense of a file.
    """
    try:
        return check(source.tables())
    except pl.exceptions.PolarsError as error:
        files = ", ".join(map(str, source.files()))
        said = str(error).partition("\n")[0]
        raise ValueError(f"{files}: {type(error).__name__}: {said}") from None


def half(features: Features, *, dataset: Part, side: Side) -> Features:
    """Encode one half of every history: whole local days, dealt by a coin.

    Parameters
    ----------
    features
        Of the whole histories; their statistics are kept, nothing is fitted again.
    dataset
        Where the histories are read again.
    side
        Which half.

    Returns
    -------
    Features
        Events of the users and windows with at least 5 clicks on both sides. Their wide features
        stay as they are: those describe engagements, not the history that is halved.
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
    days = clicks["time"].dt.convert_time_zone(source.time_zone).dt.date().to_physical()
    # The same coin in every window: a day shared by two windows' histories stays on its side.
    key = clicks["user_id"].to_numpy() * 2**20 + days.to_numpy()
    clicks = clicks.with_columns(in_gallery=pl.Series(held_out(key, 0.5)))
    counts = clicks.group_by("row").agg(
        gallery=pl.col("in_gallery").sum(), probe=(~pl.col("in_gallery")).sum()
    )
    enough = counts.filter(pl.min_horizontal("gallery", "probe") >= MIN_CLICKS).select("row")
    if enough.is_empty():
        msg = f"protocol disjoint: no history has {MIN_CLICKS} clicks on both of its halves"
        raise ValueError(msg)
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
