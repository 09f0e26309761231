"""Datasets from any file of events, with a column map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from suite.datasets.base import ITEMS, Dataset, Tables
from suite.datasets.labels import engaged, label
from suite.datasets.log import cut, window_starts, zone
from suite.datasets.negatives import negatives, with_negatives
from suite.datasets.reading.files import listed, scan
from suite.datasets.reading.native import Native
from suite.datasets.reading.times import Unit, refuse_outside
from suite.datasets.windows import cut_by_share, shares

_DATES = ("train", "validation", "test", "end")

HISTORY_DAYS = 7
"""Days of events before a window that make a history, where windows are cut by date."""


@dataclass(frozen=True, kw_only=True)
class Table(Dataset):
    """Events from your own file, one per row; histories are a user's earlier events.

    Files are Parquet, delimited text or JSON Lines; the last two may be compressed (gzip, zstd,
    bz2, xz).

    Ids of users, items and sessions may be of any type and are compared as text: 7 and "7" are one
    user, 7 and "07" two, and the same users are held out in any file with the same ids. Blanks
    around ids are removed and counted; a text column whose ids all end in ``.0`` is read as
    integers, as pandas writes them if one is missing. Events without a user are dropped and
    counted, an event without an item is rejected, and events without a session do not share one.

    A time is a date-time or date, a number (with its ``time_unit``) or text: ISO 8601, with or
    without an offset, or in a ``time_format``. Without a zone or offset it is local. Events without
    a time are dropped and counted, as are local times skipped by a clock change; repeated ones are
    read as the first of the two instants, and counted.

    Missing values are null, NaN, blanks and what pandas reads as missing (``NA``, ``null``,
    ``None``, ...).

    Attributes
    ----------
    events
        File of events, or with ``parts`` the folder of several.
    parts
        Pattern of the files in the folder ``events``, such as ``*.csv.gz``. Brackets and stars in
        ``events`` itself are literal.
    separator
        Separator of ``events`` if it is text; by default detected from the first lines.
    columns
        Names of the columns of ``events`` if it is text without a header.
    train, validation, test
        First local day of each window.
    end
        Day after the last one of test.
    windows
        Instead of the four dates ``{share: [0.4, 0.3, 0.1, 0.2]}``, also written
        ``share, 0.4/0.3/0.1/0.2``: of each user's events in time order the first 40 % are history
        only, the next 30 % train, then validation and test. Every user then has their own windows,
        and those of different users overlap in time.
    user, item, time, session, device
        Columns of ``events``; the last two are optional, device is 0 unknown, 1 desktop,
        2 mobile or 3 tablet.
    time_unit, time_format
        Format of ``time``, and of ``published`` of the items: numbers are ``s``, ``ms``, ``us`` or
        ``ns`` since 1970; the format is one of strftime, also for integers such as 20220408, and a
        trailing Z is UTC. With both, the format applies if all values match it.
    label
        Column of engagement, Boolean or 0 and 1; by default ``engaged``. Or a rule for its values:
        ``{column: event, positive: [buy]}``, ``{column: rating, at_least: 4}``, also ``above``,
        ``at_most`` and ``below``.
    above
        Bound that ``label`` must exceed for engagement.
    negatives
        For a log of positives only, ``{per_positive: 4, from: popular}`` or ``uniform``, with a
        ``seed`` (0): sampled events, see ``suite.datasets.negatives``. A ``label`` must then be
        positive for every event, and may be omitted.
    channels
        Up to two columns; by convention the first in seconds, the second in percent.
    items
        File of items, one per row.
    item_columns
        Canonical column of the items (``item_id``, ``category``, ``item_type``, ``published``,
        ``premium``, ``body_length``, ``title_length``, ``subtitle_length``, ``title``, ``body``)
        -> column of ``items``; by default the columns with canonical names.
    history_days
        Number of days that the history of a window covers; 7 with dates. With shares a history has
        the number of events of the history share, and these days can only shorten it.
    time_zone
        Time zone of the users' days and hours, of the four dates and of times without a zone.
    """

    events: str
    parts: str | None = None
    separator: str | None = None
    columns: tuple[str, ...] | None = None
    train: date | None = None
    validation: date | None = None
    test: date | None = None
    end: date | None = None
    windows: str | Mapping[str, Any] | None = None
    user: str = "user_id"
    item: str = "item_id"
    time: str = "time"
    session: str | None = None
    device: str | None = None
    time_unit: Unit | None = None
    time_format: str | None = None
    label: str | Mapping[str, Any] | None = None
    above: float | None = None
    negatives: Mapping[str, Any] | None = None
    channels: tuple[str, ...] = ()
    items: str | None = None
    item_columns: Mapping[str, str] | None = None
    history_days: int | None = None
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if len(self.channels) > 2:
            raise ValueError(f"channels: found {len(self.channels)} columns, allowed: at most 2")
        label(self.label or "engaged", self.above)
        if self.negatives is not None:
            negatives(self.negatives)
        dates = {name: getattr(self, name) for name in _DATES}
        if self.windows is not None:
            shares(self.windows)
            if given := [name for name in _DATES if dates[name] is not None]:
                raise ValueError(
                    f"windows: found with {', '.join(given)}, allowed: either the four dates or "
                    "windows"
                )
        elif missing := [name for name in _DATES if dates[name] is None]:
            raise ValueError(
                f"{', '.join(missing)}: missing, required: {', '.join(_DATES)}, or windows such "
                "as {share: [0.4, 0.3, 0.1, 0.2]}"
            )

    @property
    def note(self) -> str:
        """How negatives are sampled, and whether items have attributes that distinguish them."""
        if self.negatives is None:
            return ""
        return f"{negatives(self.negatives)}{'' if self.items else ', no item attributes'}"

    def files(self) -> list[Path]:
        """List the files of the events and, if given, of the items."""
        return [*listed(self.events, self.parts), *([Path(self.items)] if self.items else [])]

    def tables(self) -> Tables:
        """Read the events and split them into windows; see ``Dataset.tables``."""
        zone(self.time_zone)
        optional = [name for name in (self.session, self.device) if name is not None]
        optional += self._label_columns()
        needed = [self.user, self.item, self.time, *optional, *self.channels]
        native = Native(self.events, needed, parts=self.parts, **self._written())
        first, second, *_ = (*self.channels, None, None)
        log = native.usable(
            pl.DataFrame(
                {
                    "user_id": native.ids(self.user),
                    "item_id": native.ids(self.item),
                    "time": self._utc(native, self.time),
                    "session_id": self._session(native),
                    "device": native.device(self.device),
                    "channel_1": native.numbers(first).cast(pl.Float32),
                    "channel_2": native.numbers(second).cast(pl.Float32),
                    "engaged": self._engaged(native),
                }
            ),
            {"user_id": self.user, "item_id": self.item, "time": self.time},
        )
        items, filled = self._items(log.select(pl.col("item_id").unique().sort()))
        tables = self._cut(log, items.lazy())
        tables = replace(
            tables,
            dropped=native.dropped | tables.dropped,
            filled=native.filled | filled | tables.filled,
        )
        if self.negatives is None:
            return tables
        return with_negatives(tables, log, negatives(self.negatives))

    def _written(self) -> dict[str, Any]:
        """Return the text format of the events."""
        return {"separator": self.separator, "columns": self.columns}

    def _session(self, native: Native) -> pl.Series:
        return native.ids(self.session) if self.session else native.numbers(None).cast(pl.Int64)

    def _cut(self, log: pl.DataFrame, items: pl.LazyFrame) -> Tables:
        if self.windows is not None:
            return cut_by_share(log, items, shares(self.windows), self.history_days)
        days = {name: getattr(self, name) for name in _DATES}
        bounds = window_starts(days, self.time_zone)
        history_days = HISTORY_DAYS if self.history_days is None else self.history_days
        refuse_outside(
            log["time"],
            bounds["train"] - timedelta(days=history_days),
            bounds["end"],
            path=self.events,
            column=self.time,
            unit=self.time_unit,
        )
        return cut(log, items, bounds, history_days)

    def _items(self, occurring: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
        """Canonical items with the ids that occur, and counts of imputed values."""
        missing = {name: pl.lit(None, dtype) for name, dtype in ITEMS.items() if name != "item_id"}
        if self.items is None:
            return occurring.with_columns(**missing), {}
        names = _item_columns(self.items, self.item_columns)
        native = Native(self.items, list(names.values()))
        given = {name: self._of_items(native, name, column) for name, column in names.items()}
        lengths = {
            f"{text}_length": given[text].str.len_chars().cast(pl.Int64)
            for text in ("title", "body")
            if text in names
        }
        columns = {"item_id": given["item_id"]} | missing | lengths | given
        listed = pl.DataFrame(given).select(**columns).sort("item_id")
        items = listed.join(occurring, on="item_id", how="semi", maintain_order="left")
        if items.is_empty():
            raise ValueError(
                f"{self.items}: {names['item_id']} contains none of the {occurring.height} items "
                f"in {self.item} of {self.events}, at least one is needed"
            )
        return items, {f"items: {reason}": count for reason, count in native.filled.items()}

    def _of_items(self, native: Native, name: str, column: str) -> pl.Series:
        if name == "item_id":
            return native.distinct_ids(column)
        if name == "published":
            return self._utc(native, column)
        dtype = ITEMS.get(name, pl.String())
        if dtype == pl.Boolean:
            return native.booleans(column)
        return native.text(column) if dtype == pl.String else native.numbers(column).cast(dtype)

    def _utc(self, native: Native, column: str) -> pl.Series:
        return native.times(column, unit=self.time_unit, form=self.time_format, zone=self.time_zone)

    def _label_columns(self) -> list[str]:
        """Return the label's column; none if all events are positives."""
        if self.label is None and self.negatives is not None:
            first = listed(self.events, self.parts)[0]
            header = scan(first, **self._written()).collect_schema().names()
            return [name for name in ("engaged",) if name in header]
        return [label(self.label or "engaged", self.above).column]

    def _engaged(self, native: Native) -> pl.Series:
        if not self._label_columns():
            return pl.repeat(True, native.num_rows, dtype=pl.Boolean, eager=True)
        how = label(self.label or "engaged", self.above)
        # With text values in ``positive``, 07 and 1.0 are not read as numbers.
        values = native.column(how.column) if how.positive else native.typed(how.column)
        is_engaged = engaged(values, how, self.events)
        if self.negatives is not None and (others := int((~is_engaged).sum())):
            raise ValueError(
                f"{self.events}: {others} of {native.num_rows} events are not engaged by "
                f"{how.column}; negatives are sampled for logs of positives only"
            )
        return is_engaged


def _item_columns(path: str, given: Mapping[str, str] | None) -> dict[str, str]:
    allowed = [*ITEMS, "title", "body"]
    header = [] if given else scan(path).collect_schema().names()
    names = dict(given) if given else {name: name for name in allowed if name in header}
    if unknown := sorted(set(names) - set(allowed)):
        raise ValueError(f"item_columns: found {unknown}, allowed: {allowed}")
    if "item_id" not in names:
        raise ValueError(f"{path}: no column for item_id; give one in item_columns")
    return names
