"""Windows by shares of each user's events: the first share is history, and so on.

In logs of ratings most users have all their events in one sitting, so that with dates few have
events in two windows. With shares all users have events in all windows, but one user's test window
may precede another's train window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import accumulate
from typing import Any

import polars as pl

from suite.datasets.base import EVENTS, HISTORIES, UTC, WINDOWS, Tables
from suite.datasets.log import CHANNELS, numbered
from suite.registry import nearest

_SPELLED = "{share: [history, train, validation, test]} such as {share: [0.4, 0.3, 0.1, 0.2]}"


@dataclass(frozen=True)
class Shares:
    """Shares of each user's events, in time order.

    Attributes
    ----------
    history, train, validation, test
        Positive, with sum 1. Denominators are at most 10,000, so that counts fit in 64 bits.
    """

    history: Fraction
    train: Fraction
    validation: Fraction
    test: Fraction

    def starts(self) -> dict[str, Fraction]:
        """Share of a user's events before each window."""
        before = accumulate((self.history, self.train, self.validation))
        return dict(zip(WINDOWS, before, strict=True))


def shares(given: str | Mapping[str, Any]) -> Shares:
    """Read ``{share: [0.4, 0.3, 0.1, 0.2]}``, or the same as text: ``share, 0.4/0.3/0.1/0.2``.

    Raises
    ------
    ValueError
        One line: what was found, and what is allowed.
    """
    if isinstance(given, str):
        kind, _, values = given.partition(",")
        given = {kind.strip(): values.split("/")}
    for key in given:
        if key != "share":
            raise ValueError(f"windows: unknown key {key!r}; {nearest(str(key), ['share'])}")
    try:
        fractions = [Fraction(str(value)) for value in given["share"]]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise ValueError(f"windows: found {given!r}, allowed: {_SPELLED}") from None
    total = sum(fractions, start=Fraction(0))
    if len(fractions) != 4 or min(fractions) <= 0 or abs(total - 1) > Fraction(1, 10**6):
        listed = ", ".join(f"{float(value):g}" for value in fractions)
        raise ValueError(
            f"windows: found the shares {listed}, must be four positive ones with sum 1: "
            "history, train, validation, test"
        )
    return Shares(*((value / total).limit_denominator(10_000) for value in fractions))


def cut_by_share(
    log: pl.DataFrame, items: pl.LazyFrame, shares: Shares, history_days: int | None = None
) -> Tables:
    """Split each user's events into windows, each with a history of the events before it.

    Of n events in time order the first floor(n x history) are history only, and so on.
    Simultaneous events are never separated: all belong to the latest window that starts with one
    of them. A window's history is the user's last floor(n x history) events before its start, so
    that the histories of train and test share events only if history exceeds train and validation
    together.

    Parameters
    ----------
    log
        As for ``suite.datasets.log.cut``.
    items
        Canonical items.
    shares
        Shares of each user's events.
    history_days
        Maximum number of 24-hour days that histories cover.

    Returns
    -------
    Tables
        Histories have a column ``start``, the user's own; ``starts`` are the earliest ones. Event
        ids as in ``suite.datasets.log.cut``.

    Raises
    ------
    ValueError
        There is no event, or ``history_days`` is less than 1.
    """
    unique, dropped = numbered(log, history_days)
    if unique.is_empty():
        raise ValueError("events: empty, at least one row is needed")
    ordered = unique.sort("user_id", "time", "event_id")
    first = {window: _of_events(share) for window, share in shares.starts().items()}
    per_user = ordered.group_by("user_id", maintain_order=True).agg(
        *(pl.col("time").get(place).alias(window) for window, place in first.items()),
        num_history=_of_events(shares.history),
    )
    rows = ordered.join(per_user, on="user_id", maintain_order="left")
    return Tables(
        events=_windowed(rows).lazy(),
        histories=pl.concat(_histories(rows, history_days)).lazy(),
        items=items,
        starts=_earliest(per_user),
        dropped=dropped,
    )


def start_of(histories: pl.LazyFrame, starts: Mapping[str, datetime]) -> pl.Expr:
    """Start of the window of each history: the user's own if there is one.

    Parameters
    ----------
    histories
        Canonical histories.
    starts
        Start of each window (UTC), for those without a column ``start``.
    """
    if "start" in histories.collect_schema():
        return pl.col("start")
    return pl.col("window").replace_strict(dict(starts), return_dtype=UTC)


def _of_events(share: Fraction) -> pl.Expr:
    """Count the events of a user's share, rounded down."""
    return pl.len().cast(pl.Int64) * share.numerator // share.denominator


def _windowed(rows: pl.DataFrame) -> pl.DataFrame:
    window = pl.lit(None, pl.String)
    for name in WINDOWS:
        window = pl.when(pl.col("time") >= pl.col(name)).then(pl.lit(name)).otherwise(window)
    return (
        rows.with_columns(window=window)
        .filter(pl.col("window").is_not_null())
        .select(*EVENTS, pl.exclude(*EVENTS, *CHANNELS, *WINDOWS, "num_history"))
    )


def _histories(rows: pl.DataFrame, history_days: int | None) -> Iterator[pl.DataFrame]:
    """Last events before each window's start; rows must be in time order within users."""
    for window in WINDOWS:
        start = pl.col(window)
        reached = pl.lit(value=True)
        if history_days is not None:
            reached = pl.col("time") >= start - timedelta(days=history_days)
        yield (
            rows.filter(pl.col("time") < start)
            .filter(pl.int_range(pl.len(), 0, -1).over("user_id") <= pl.col("num_history"))
            .filter(reached)
            .group_by("user_id", maintain_order=True)
            .agg("time", "item_id", *CHANNELS, start=start.first())
            .with_columns(window=pl.lit(window))
            .select(*HISTORIES, "start")
        )


def _earliest(per_user: pl.DataFrame) -> dict[str, datetime]:
    earliest = per_user.select(pl.col(*WINDOWS).min())
    return dict(earliest.row(0, named=True))
