"""Validation of the canonical tables."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import polars as pl

from suite.datasets.base import EVENTS, HISTORIES, ITEMS, UNKNOWN_ITEM, UTC, WINDOWS, Group, Tables
from suite.datasets.negatives import observed
from suite.datasets.windows import start_of
from suite.input.allowed import counted

MIN_EVENTS = 4
"""Minimum number of a user's events in train and in test for the protocols."""

_NO_HISTORY = "their users have no earlier event in the span of that window's history"

_NULLABLE = {"session_id", "device"}
_LISTS = ("time", "item_id", "channel_1", "channel_2")


def check(tables: Tables) -> Tables:
    """Validate the canonical tables, drop unusable rows and sort the events.

    Exact duplicate events and events of users without a history in that window are dropped and
    counted; histories without events are left out. The check is idempotent.

    Returns
    -------
    Tables
        Events in memory, sorted by window (in time order), user_id, time and event_id, with the
        columns of ``EVENTS`` first; histories and items as lazy as they came.

    Raises
    ------
    ValueError
        One line: the table and column, what was found, what is allowed.
    """
    _check_columns("events", tables.events, EVENTS)
    own = {"start": UTC} if "start" in tables.histories.collect_schema() else {}
    _check_columns("histories", tables.histories, pl.Schema({**HISTORIES, **own}))
    _check_columns("items", tables.items, ITEMS)
    _check_starts(tables)
    _check_items(tables.items)
    _check_tokens(tables.items)

    events = tables.events.select(*EVENTS, pl.exclude(*EVENTS)).collect(engine="streaming")
    num_rows = events.height
    events = events.unique(maintain_order=True)
    num_duplicates = num_rows - events.height
    _check_events(events, tables)
    _check_histories(tables)

    histories = tables.histories.filter(pl.col("time").list.len() > 0)
    with_history = histories.select("user_id", "window").collect(engine="streaming")
    without = events.join(with_history, on=["user_id", "window"], how="anti")
    events = events.join(with_history, on=["user_id", "window"], how="semi")
    num_without = observed(without).height
    events = events.sort(pl.col("window").cast(pl.Enum(WINDOWS)), "user_id", "time", "event_id")
    _check_labels(events, without)
    if not linkable_users(events):
        also = f"; dropped {counted(num_without, 'event')}: {_NO_HISTORY}" if num_without else ""
        raise ValueError(
            f"events.user_id: no user has {MIN_EVENTS} events in train and in test, "
            f"at least {MIN_EVENTS} in each are needed{also}"
        )
    num_unknown = _without_item(events, tables.items)

    dropped = {"duplicate row": num_duplicates, "no history": num_without}
    return replace(
        tables,
        events=events.lazy(),
        histories=histories.join(
            events.lazy().select("user_id", "window").unique(),
            on=["user_id", "window"],
            how="semi",
            maintain_order="left",
        ),
        dropped={
            reason: tables.dropped.get(reason, 0) + dropped.get(reason, 0)
            for reason in (tables.dropped | dropped)
        },
        filled=tables.filled | ({UNKNOWN_ITEM: num_unknown} if num_unknown else {}),
    )


def _without_item(events: pl.DataFrame, items: pl.LazyFrame) -> int:
    """Count the observed events whose item has no row in the items table."""
    unknown = observed(events).lazy().join(items.select("item_id"), on="item_id", how="anti")
    return int(unknown.select(pl.len()).collect(engine="streaming").item())


def check_wide(tables: Tables) -> Tables:
    """Validate the wide features of checked tables, if any.

    Raises
    ------
    ValueError
        One line: the column, what was found, what is allowed.
    """
    if tables.wide is None:
        if tables.wide_features:
            raise ValueError(
                f"wide: missing, {counted(len(tables.wide_features), 'feature')} declared"
            )
        return tables
    names = [feature.name for feature in tables.wide_features]
    if len(set(names)) < len(names) or not names:
        raise ValueError(
            f"wide_features: found {counted(len(names), 'name')}, allowed: one or more, unique"
        )
    for feature in tables.wide_features:
        if feature.group not in get_args(Group):
            raise ValueError(
                f"wide_features.{feature.name}: group is {feature.group!r}, "
                f"allowed: {', '.join(get_args(Group))}"
            )
    columns = pl.Schema({"event_id": pl.Int64(), **dict.fromkeys(names, pl.Float32())})
    _check_columns("wide", tables.wide, columns)
    if (names_found := tables.wide.collect_schema().names()) != columns.names():
        raise ValueError(
            f"wide: found {counted(len(names_found), 'column')}, must be the {len(columns)} "
            "declared ones in their order"
        )
    _check_wide_rows(tables.wide, tables.events, names)
    return tables


def _check_wide_rows(wide: pl.LazyFrame, events: pl.LazyFrame, names: list[str]) -> None:
    ids = wide.select("event_id").collect(engine="streaming")
    if ids["event_id"].n_unique() < ids.height:
        first = ids.filter(pl.col("event_id").is_duplicated())["event_id"][0]
        raise ValueError(f"wide.event_id: {first} occurs more than once, ids must be unique")
    missing = events.select("event_id").collect().join(ids, on="event_id", how="anti")
    if not missing.is_empty():
        raise ValueError(
            f"wide.event_id: no row for {counted(missing.height, 'event')}, first "
            f"{missing.item(0, 0)}; every event needs one"
        )
    wrong = wide.select((~pl.col(names).is_finite()).sum()).collect(engine="streaming").row(0)
    for name, count in zip(names, wrong, strict=True):
        if count:
            raise ValueError(
                f"wide.{name}: NaN or infinite in {counted(count, 'row')}, must be finite or null"
            )


def linkable_users(events: pl.DataFrame) -> int:
    """Count the users with at least ``MIN_EVENTS`` observed events in train and in test."""
    counts = (
        observed(events)
        .group_by("user_id")
        .agg((pl.col("window") == window).sum().alias(window) for window in ("train", "test"))
    )
    return counts.filter(pl.min_horizontal("train", "test") >= MIN_EVENTS).height


def _check_columns(name: str, table: pl.LazyFrame, columns: pl.Schema) -> None:
    schema = table.collect_schema()
    wrong = [
        f"{column} is {schema.get(column, 'missing')}, must be {dtype}"
        for column, dtype in columns.items()
        if schema.get(column) != dtype
    ]
    if wrong:
        raise ValueError(f"{name}: {'; '.join(wrong)}")


def _check_starts(tables: Tables) -> None:
    if tuple(tables.starts) != WINDOWS:
        raise ValueError(f"starts: found {list(tables.starts)}, must be {list(WINDOWS)}")
    starts = list(tables.starts.values())
    if starts != sorted(starts):
        listed = ", ".join(f"{window} {start}" for window, start in tables.starts.items())
        raise ValueError(f"starts: windows must be in time order, found {listed}")


def _check_items(items: pl.LazyFrame) -> None:
    ids = items.select("item_id").collect(engine="streaming")["item_id"]
    if not len(ids):
        raise ValueError("items: empty, at least one row is needed")
    if ids.null_count():
        raise ValueError(f"items.item_id: found {counted(ids.null_count(), 'null')}, allowed: none")
    if ids.n_unique() < len(ids):
        raise ValueError(
            f"items.item_id: {ids.filter(ids.is_duplicated())[0]} occurs more than once, "
            "ids must be unique"
        )


def _check_tokens(items: pl.LazyFrame) -> None:
    dtype = items.collect_schema().get("tokens")
    if dtype not in (None, pl.List(pl.Int32)):
        raise ValueError(f"items.tokens: is {dtype}, must be {pl.List(pl.Int32)}")


def _check_events(events: pl.DataFrame, tables: Tables) -> None:
    if events.is_empty():
        raise ValueError("events: empty, at least one row is needed")
    labels = [name for name in events.columns if events.schema[name] == pl.Boolean]
    for column in dict.fromkeys([*EVENTS, *labels]):
        if column not in _NULLABLE and (nulls := events[column].null_count()):
            raise ValueError(f"events.{column}: found {counted(nulls, 'null')}, allowed: none")
    _check_windows("events", events["window"])
    if events["event_id"].n_unique() < events.height:
        first = events.filter(pl.col("event_id").is_duplicated())["event_id"][0]
        raise ValueError(f"events.event_id: {first} occurs more than once, ids must be unique")
    early = _started(events, tables).filter(pl.col("time") < pl.col("start"))
    if not early.is_empty():
        event_id, window, time, start = early.select("event_id", "window", "time", "start").row(0)
        raise ValueError(
            f"events.time: event {event_id} of window {window!r} is at {time}, "
            f"must not be before the window's start {start}"
        )


def _check_windows(name: str, windows: pl.Series) -> None:
    unknown = sorted(set(windows.unique().to_list()) - set(WINDOWS))
    if unknown:
        raise ValueError(f"{name}.window: found {unknown}, allowed: {list(WINDOWS)}")


def _started(events: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Add the start of each event's window; null if it is the user's own and unknown."""
    if "start" not in tables.histories.collect_schema():
        return events.with_columns(start=start_of(events.lazy(), tables.starts))
    own = tables.histories.select("user_id", "window", "start").collect(engine="streaming")
    return events.join(own, on=["user_id", "window"], how="left", maintain_order="left")


def _check_histories(tables: Tables) -> None:
    named = {"user_id", "window", "start"}.intersection(tables.histories.collect_schema())
    keys = tables.histories.select(sorted(named)).collect(engine="streaming")
    if keys.is_empty():
        raise ValueError("histories: empty, at least one row is needed")
    for column in keys.columns:
        if nulls := keys[column].null_count():
            raise ValueError(f"histories.{column}: found {counted(nulls, 'null')}, allowed: none")
    _check_windows("histories", keys["window"])
    twice = keys.select("user_id", "window").is_duplicated()
    if twice.any():
        user_id, window = keys.filter(twice).select("user_id", "window").row(0)
        raise ValueError(
            f"histories: user {user_id} has more than one row in window {window!r}, "
            "one per user and window is allowed"
        )
    _check_lists(tables)


def _check_lists(tables: Tables) -> None:
    """Check every history in one pass, with one example per kind of error."""
    time = pl.col("time")
    length = time.list.len()
    faults = {
        "a list is null, must be an empty list": pl.any_horizontal(
            pl.col(column).is_null() for column in _LISTS
        ),
        "the four lists differ in length, must be equal": pl.any_horizontal(
            pl.col(column).list.len() != length for column in _LISTS[1:]
        ),
        "time or item_id has a null, allowed: none": pl.any_horizontal(
            pl.col(column).list.drop_nulls().list.len() < length for column in _LISTS[:2]
        ),
        "a channel is NaN or infinite, must be finite or null": pl.any_horizontal(
            pl.col(column).list.eval(~pl.element().is_finite()).list.any() for column in _LISTS[2:]
        ),
        "time is not in ascending order": time.list.diff().list.min() < pl.duration(),
        "time reaches the start of its window, must end before it": (
            time.list.max() >= pl.col("start")
        ),
    }
    rows = (
        tables.histories.with_columns(start=start_of(tables.histories, tables.starts))
        .with_columns(
            expression.fill_null(value=False).alias(fault) for fault, expression in faults.items()
        )
        .select(
            pl.struct("user_id", "window", "start").filter(pl.col(fault)).first().alias(fault)
            for fault in faults
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    for fault, row in rows.items():
        if row is not None:
            raise ValueError(
                f"histories: user {row['user_id']}, window {row['window']!r}: {fault}"
                + (f" ({row['start']})" if "start" in fault else "")
            )


def _check_labels(events: pl.DataFrame, without: pl.DataFrame) -> None:
    """Reject a window with one class; ``without`` are the events dropped without a history."""
    for window in WINDOWS:
        engaged = events.filter(pl.col("window") == window)["engaged"]
        if (
            not len(engaged)
            and (lost := observed(without).filter(pl.col("window") == window)).height
        ):
            raise ValueError(
                f"events: window {window!r} is empty, all of its events ({lost.height}) were "
                f"dropped: {_NO_HISTORY} (history_days)"
            )
        if engaged.n_unique() < 2:
            seen = f"{counted(len(engaged), 'event')}, all {engaged[0]}" if len(engaged) else "none"
            raise ValueError(
                f"events.engaged: found {seen} in window {window!r}, both classes are needed"
            )
