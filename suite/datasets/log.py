"""From a log of events to the canonical tables: windows by date, histories by look-back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from suite.datasets.base import EVENTS, HISTORIES, UTC, WINDOWS, Tables

CHANNELS = ("channel_1", "channel_2")


def zone(name: str) -> ZoneInfo:
    """Find a time zone by its IANA name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"time_zone: found {name!r}, must be an IANA name such as Europe/Berlin"
        ) from None


def midnight(day: date, time_zone: str) -> datetime:
    """Return the start of a local day in UTC."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone(time_zone))
    return local.astimezone(ZoneInfo("UTC"))


def window_starts(days: Mapping[str, date], time_zone: str) -> dict[str, datetime]:
    """Compute the start of each window, and the ``end`` of the last, from their dates.

    Parameters
    ----------
    days
        First local day of train, validation and test, and the day after the last one (``end``).

    Raises
    ------
    ValueError
        A value is not a date, or the four are not in ascending order.
    """
    for name, day in days.items():
        if not isinstance(day, date):
            raise ValueError(f"{name}: found {day!r}, must be a date such as 2022-04-12")
    ascending = sorted(set(days.values()))
    if list(days.values()) != ascending:
        listed = ", ".join(f"{name} {day}" for name, day in days.items())
        raise ValueError(f"windows: dates must be in ascending order, found {listed}")
    return {name: midnight(day, time_zone) for name, day in days.items()}


def cut(
    log: pl.DataFrame, items: pl.LazyFrame, bounds: Mapping[str, datetime], history_days: int
) -> Tables:
    """Split a log into windows, each with the histories of the days before it.

    Parameters
    ----------
    log
        ``user_id, item_id, time, session_id, device, channel_1, channel_2`` and the Boolean
        labels, one row per event, exact duplicates included.
    items
        Canonical items.
    bounds
        Start of each window and ``end``, the end of the last, from ``window_starts``.
    history_days
        Number of 24-hour days before a window that its histories cover.

    Returns
    -------
    Tables
        Event ids are row numbers of the log without its exact duplicates, sorted by time, user,
        item and then every other column, further labels last, independent of the order in the file.

    Raises
    ------
    ValueError
        One line: ``history_days`` is less than 1 or leaves no history.
    """
    unique, dropped = numbered(log, history_days)
    earliest = bounds["train"] - timedelta(days=history_days)
    used = unique.filter(pl.col("time").is_between(earliest, bounds["end"], closed="left"))
    starts = {window: bounds[window] for window in WINDOWS}
    _refuse_without_history(used, starts, history_days)
    return Tables(
        events=in_windows(used.lazy(), starts),
        histories=earlier_events(used.lazy(), starts, history_days),
        items=items,
        starts=starts,
        dropped=dropped | {"outside windows and histories": unique.height - used.height},
    )


def _refuse_without_history(
    used: pl.DataFrame, starts: Mapping[str, datetime], history_days: int
) -> None:
    look_back = timedelta(days=history_days)
    seen = [
        pl.col("time").is_between(start - look_back, start, closed="left")
        for start in starts.values()
    ]
    if used.is_empty() or used.select(pl.any_horizontal(seen).any()).item():
        return
    counts = dict(in_windows(used.lazy(), starts).group_by("window").len().collect().iter_rows())
    listed = ", ".join(f"{window} {counts.get(window, 0)}" for window in starts)
    raise ValueError(
        f"history_days: found {history_days}, which leaves no history: all events "
        f"({sum(counts.values())}) would be dropped, since their users have no earlier event in "
        f"that span ({listed})"
    )


def numbered(log: pl.DataFrame, history_days: int | None) -> tuple[pl.DataFrame, dict[str, int]]:
    """Drop and count exact duplicates, and assign event ids.

    Raises
    ------
    ValueError
        ``history_days`` is less than 1.
    """
    if history_days is not None and history_days < 1:
        raise ValueError(f"history_days: found {history_days}, must be at least 1")
    # Labels that not all adapters have come last, so that all assign the same ids.
    rest = sorted(
        set(log.columns) - {"time", "user_id", "item_id"},
        key=lambda name: (name not in EVENTS and name not in CHANNELS, name),
    )
    unique = log.unique().sort("time", "user_id", "item_id", *rest)
    events = unique.with_row_index("event_id").with_columns(pl.col("event_id").cast(pl.Int64))
    return events, {"duplicate row": log.height - unique.height}


def in_windows(log: pl.LazyFrame, starts: Mapping[str, datetime]) -> pl.LazyFrame:
    """Assign events at or after the first start to the latest window that has begun."""
    begun = pl.DataFrame(
        {"window": list(starts), "start": list(starts.values())},
        schema={"window": pl.String, "start": UTC},
    )
    return (
        log.sort("time")
        .join_asof(begun.lazy(), left_on="time", right_on="start")
        .filter(pl.col("window").is_not_null())
        .select(*EVENTS, pl.exclude(*EVENTS, "start", *CHANNELS))
    )


def earlier_events(
    log: pl.LazyFrame, starts: Mapping[str, datetime], history_days: int
) -> pl.LazyFrame:
    """Collect every user's events of the ``history_days`` before each window.

    Parameters
    ----------
    log
        ``user_id, item_id, time, channel_1, channel_2`` and ``event_id``, which orders
        simultaneous events.

    Returns
    -------
    LazyFrame
        Canonical histories, sorted by window and user; a user without events has no row.
    """
    ordered = log.sort("user_id", "time", "event_id")
    return pl.concat(
        ordered.filter(
            pl.col("time").is_between(start - timedelta(days=history_days), start, closed="left")
        )
        .group_by("user_id", maintain_order=True)
        .agg("time", "item_id", *CHANNELS)
        .with_columns(window=pl.lit(window))
        .select(*HISTORIES)
        for window, start in starts.items()
    )
