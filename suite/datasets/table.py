"""Bring your own log: any CSV or Parquet file of events, with a column map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import polars as pl

from suite.datasets.base import ITEMS, Dataset, Tables
from suite.datasets.identifiers import canonical_ids
from suite.datasets.labels import engaged, label
from suite.datasets.log import cut, window_starts, zone
from suite.datasets.negatives import negatives, with_negatives
from suite.datasets.windows import cut_by_share, shares

_DATES = ("train", "validation", "test", "end")


@dataclass(frozen=True, kw_only=True)
class Table(Dataset):
    """Your own events, one row each; histories are a user's earlier events.

    Ids of users, items and sessions may be of any type; their text decides, so that 7 and "7" are
    one user, and who is held out is the same in any file that holds the same ids.
    A time is a date-time (without a zone: local), a number (name its ``time_unit``) or text
    (``time_format`` as of chrono's strftime; without it ISO 8601).

    Attributes
    ----------
    events
        CSV or Parquet file.
    train, validation, test
        First local day of each window.
    end
        The day after the last one of test.
    windows
        In place of the four dates ``{share: [0.4, 0.3, 0.1, 0.2]}``, also written
        ``share, 0.4/0.3/0.1/0.2``: of each user's events in time order the first 40 % are history
        only, the next 30 % train, then validation and test. Every user has their own windows then,
        and those of different users overlap in time.
    user, item, time, session, device
        Columns of ``events``; the last two are optional, device is 0 unknown, 1 desktop,
        2 mobile or 3 tablet.
    time_unit, time_format
        How to read ``time``, and ``published`` of the items.
    label
        Column that says whether the user engaged, Boolean or 0 and 1; ``engaged`` if nothing is
        given. Or which of its values do: ``{column: event, positive: [buy]}``,
        ``{column: rating, at_least: 4}``, also ``above``, ``at_most`` and ``below``.
    above
        Engaged is a ``label`` larger than this.
    negatives
        For a log of positives only, ``{per_positive: 4, from: popular}`` or ``uniform``: events
        that are sampled, see ``suite.datasets.negatives``; ``seed`` (0) of the draws. A ``label``
        must then hold for every event, and may be left out.
    channels
        Up to two columns; the first in seconds, the second in percent, or what you have instead.
    items
        CSV or Parquet file of items, one row each.
    item_columns
        Canonical column of the items (``item_id``, ``category``, ``item_type``, ``published``,
        ``premium``, ``body_length``, ``title_length``, ``subtitle_length``, ``title``, ``body``)
        -> column of ``items``; without it the columns that have a canonical name.
    history_days
        Days that the history of a window looks back; 7 with dates. With shares a history is as
        many events as the history share says, and these days can only shorten it.
    time_zone
        Zone of the users' days and hours, of the four dates and of times without a zone.
    """

    events: str
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
    time_unit: Literal["s", "ms", "us"] | None = None
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
            raise ValueError(f"channels: found {len(self.channels)} columns, at most 2 are allowed")
        label(self.label or "engaged", self.above)
        if self.negatives is not None:
            negatives(self.negatives)
        dates = {name: getattr(self, name) for name in _DATES}
        if self.windows is not None:
            shares(self.windows)
            if given := [name for name in _DATES if dates[name] is not None]:
                raise ValueError(
                    f"windows: found beside {', '.join(given)}, allowed are the four dates or "
                    "windows"
                )
        elif missing := [name for name in _DATES if dates[name] is None]:
            raise ValueError(
                f"{', '.join(missing)}: missing, needed are {', '.join(_DATES)}, or windows such "
                "as {share: [0.4, 0.3, 0.1, 0.2]}"
            )

    @property
    def note(self) -> str:
        """That negatives are sampled, and how."""
        return "" if self.negatives is None else str(negatives(self.negatives))

    def files(self) -> list[Path]:
        """List the events and, if given, the items."""
        return [Path(path) for path in (self.events, self.items) if path is not None]

    def tables(self) -> Tables:
        """Read the events and cut them into windows; see ``Dataset.tables``."""
        zone(self.time_zone)
        optional = [name for name in (self.session, self.device) if name is not None]
        optional += self._label_columns()
        columns = [self.user, self.item, self.time, *optional, *self.channels]
        native = _read(self.events, columns)
        first, second, *_ = (*self.channels, None, None)
        log = _select(
            self.events,
            native,
            user_id=_ids(native, self.user),
            item_id=_ids(native, self.item),
            time=self._utc(self.events, native, self.time),
            session_id=_ids(native, self.session) if self.session else pl.lit(None, pl.Int64),
            device=pl.col(self.device).cast(pl.Int8) if self.device else pl.lit(None, pl.Int8),
            channel_1=_number(first).cast(pl.Float32),
            channel_2=_number(second).cast(pl.Float32),
            engaged=pl.lit(self._engaged(native)),
        )
        if not log["device"].drop_nulls().is_between(0, 3).all():
            raise ValueError(f"{self.events}: {self.device} is out of range, allowed are 0 to 3")
        items = self._items(log.select(pl.col("item_id").unique().sort())).lazy()
        tables = self._cut(log, items)
        if self.negatives is None:
            return tables
        return with_negatives(tables, log, negatives(self.negatives))

    def _cut(self, log: pl.DataFrame, items: pl.LazyFrame) -> Tables:
        if self.windows is not None:
            return cut_by_share(log, items, shares(self.windows), self.history_days)
        days = {name: getattr(self, name) for name in _DATES}
        bounds = window_starts(days, self.time_zone)
        return cut(log, items, bounds, 7 if self.history_days is None else self.history_days)

    def _items(self, occurring: pl.DataFrame) -> pl.DataFrame:
        """Canonical items of the events, given the ids that occur there."""
        missing = {name: pl.lit(None, dtype) for name, dtype in ITEMS.items() if name != "item_id"}
        if self.items is None:
            return occurring.with_columns(**missing)
        names = _item_columns(self.items, self.item_columns)
        native = _read(self.items, list(names.values()))
        lengths = {
            f"{text}_length": pl.col(names[text]).str.len_chars().cast(pl.Int64)
            for text in ("title", "body")
            if text in names
        }
        given = {
            name: self._utc(self.items, native, column)
            if name == "published"
            else pl.col(column).cast(ITEMS.get(name, pl.String()))
            for name, column in names.items()
            if name != "item_id"
        }
        columns = {"item_id": _ids(native, names["item_id"])} | missing | lengths | given
        found = _select(self.items, native, **columns).sort("item_id")
        items = found.join(occurring, on="item_id", how="semi", maintain_order="left")
        if items.is_empty():
            raise ValueError(
                f"{self.items}: {names['item_id']} holds none of the {occurring.height} items "
                f"that are in {self.item} of {self.events}, at least one is needed"
            )
        return items

    def _utc(self, path: str, table: pl.DataFrame, column: str) -> pl.Expr:
        dtype, values = table.schema[column], pl.col(column)
        if dtype.is_numeric():
            if self.time_unit is None:
                raise ValueError(f"{path}: {column} is {dtype}, time_unit must be s, ms or us")
            us = values * {"s": 1_000_000, "ms": 1_000, "us": 1}[self.time_unit]
            return us.cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
        if dtype == pl.String:
            values = values.str.to_datetime(self.time_format, time_unit="us")
            dtype = table.clear().select(values).to_series().dtype
        if getattr(dtype, "time_zone", None) is not None:
            return values.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        return (
            values.cast(pl.Datetime("us"))
            .dt.replace_time_zone(self.time_zone, ambiguous="earliest")
            .dt.convert_time_zone("UTC")
        )

    def _label_columns(self) -> list[str]:
        """Name the label's column; none where all events are positives."""
        if self.label is None and self.negatives is not None:
            return [name for name in ("engaged",) if name in _header(self.events)]
        return [label(self.label or "engaged", self.above).column]

    def _engaged(self, events: pl.DataFrame) -> pl.Series:
        if not self._label_columns():
            return pl.repeat(True, events.height, dtype=pl.Boolean, eager=True)
        how = label(self.label or "engaged", self.above)
        found = engaged(events[how.column], how, self.events)
        if self.negatives is not None and (others := int((~found).sum())):
            raise ValueError(
                f"{self.events}: {others} of {events.height} events are not engaged by "
                f"{how.column}; negatives are sampled for logs of positives only"
            )
        return found


def _ids(table: pl.DataFrame, column: str) -> pl.Expr:
    return pl.lit(canonical_ids(table[column]))


def _number(column: str | None) -> pl.Expr:
    if column is None:
        return pl.lit(None, pl.Float64)
    return pl.col(column).cast(pl.Float64).fill_nan(None)


def _item_columns(path: str, given: Mapping[str, str] | None) -> dict[str, str]:
    allowed = [*ITEMS, "title", "body"]
    names = dict(given) if given else {name: name for name in allowed if name in _header(path)}
    if unknown := sorted(set(names) - set(allowed)):
        raise ValueError(f"item_columns: found {unknown}, allowed are {allowed}")
    if "item_id" not in names:
        raise ValueError(f"{path}: no column for item_id; name one in item_columns")
    return names


def _select(path: str, table: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    for name, column in columns.items():
        try:
            table = table.with_columns(column.alias(f"canonical {name}"))
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{path}: {name}: {str(error).splitlines()[0]}") from None
    return table.select(pl.col(f"canonical {name}").alias(name) for name in columns)


def _header(path: str) -> list[str]:
    return _scan(path).collect_schema().names()


def _read(path: str, columns: list[str]) -> pl.DataFrame:
    header = _header(path)
    if missing := sorted(set(columns) - set(header)):
        raise ValueError(f"{path}: no column {', '.join(missing)}, found {', '.join(header)}")
    try:
        return _scan(path).select(*dict.fromkeys(columns)).collect()
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from None


def _scan(path: str) -> pl.LazyFrame:
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path}: file type {suffix or 'none'}, allowed are .csv and .parquet")
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    if suffix == ".csv":
        # The first rows of an id column may be numbers and later ones not.
        return pl.scan_csv(path, infer_schema_length=None)
    return pl.scan_parquet(path)
