"""Columns of a user's file, each read according to its use, with counts of imputed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from suite.datasets.reading import files, ids, times, values
from suite.datasets.reading.identifiers import canonical_ids, refuse_twice


class Native:
    """Columns of a file, or of the files of a folder.

    Attributes
    ----------
    path
        As given.
    dropped
        Number of rows left out, by reason; only reasons that occur.
    filled
        Number of rows kept with an imputed value, by reason.
    """

    def __init__(
        self,
        path: str,
        names: Sequence[str],
        *,
        parts: str | None = None,
        separator: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        self.path = path
        self._rows = files.read(path, names, parts=parts, separator=separator, columns=columns)
        if self._rows.frame.is_empty():
            raise ValueError(f"{path}: no rows, at least one is needed")
        self._skipped: dict[str, pl.Series] = {}
        self.dropped: dict[str, int] = {}
        self.filled: dict[str, int] = {}

    def ids(self, column: str) -> pl.Series:
        """Read the canonical ids of a column; null if missing."""
        native = ids.text_ids(self._rows.frame[column], self._rows.place)
        self._fill(f"blanks around {column} removed", native.num_stripped)
        return canonical_ids(native.text)

    def distinct_ids(self, column: str) -> pl.Series:
        """Read the canonical ids of a column without duplicates; null if missing."""
        refuse_twice(ids.text_ids(self._rows.frame[column], self._rows.place).text, self.path)
        return self.ids(column)

    def times(
        self, column: str, *, unit: times.Unit | None, form: str | None, zone: str
    ) -> pl.Series:
        """Read the instants of a column, see `times.instants`; null if missing or skipped."""
        instants = times.instants(
            self._rows.frame[column], self._rows.place, unit=unit, form=form, zone=zone
        )
        if instants.skipped is not None and instants.repeated is not None:
            self._skipped[column] = instants.skipped
            self._fill(
                f"{column} that a clock change repeats read as the first",
                int(instants.repeated.sum()),
            )
        return instants.utc

    def numbers(self, column: str | None) -> pl.Series:
        """Read the numbers of a column as Float64; all null without a column."""
        if column is None:
            return pl.Series([None], dtype=pl.Float64).new_from_index(0, self.num_rows)
        return values.numbers(self._rows.frame[column], self._rows.place)

    def device(self, column: str | None) -> pl.Series:
        """Read the kinds of devices as Int8 from 0 to 3; all null without a column."""
        devices = self.numbers(column)
        if column is not None:
            wrong = ~devices.is_in([0.0, 1.0, 2.0, 3.0])
            native = self._rows.frame[column]
            values.refuse_where(wrong, native, self._rows.place, "0, 1, 2 or 3")
        return devices.cast(pl.Int8)

    def booleans(self, column: str) -> pl.Series:
        """Read Boolean values of a column, or 0 and 1."""
        return values.booleans(self._rows.frame[column], self._rows.place)

    @property
    def num_rows(self) -> int:
        """Number of rows of all files."""
        return self._rows.frame.height

    def column(self, column: str) -> pl.Series:
        """Return the values of a column unchanged.

        Raises
        ------
        ValueError
            They are lists, bytes or the like.
        """
        native = self._rows.frame[column]
        if native.dtype.is_nested() or native.dtype in (pl.Object, pl.Binary, pl.Duration):
            raise ValueError(f"{self.path}: {column} is {native.dtype}, must be text or numbers")
        return native

    def typed(self, column: str) -> pl.Series:
        """Return the values of a column; text is converted to the type that all values have."""
        return values.typed(self.column(column))

    def text(self, column: str) -> pl.Series:
        """Return the values of a column as text."""
        return self.column(column).cast(pl.String)

    def usable(self, log: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
        """Drop and count the events without a user and those without a time.

        Parameters
        ----------
        log
            Canonical events, one per row of the file.
        names
            Column of the file for each of ``user_id``, ``item_id`` and ``time``.

        Raises
        ------
        ValueError
            One line: a remaining event has no item, or no event remains.
        """
        log = log.with_row_index("row")
        with_user = log.filter(pl.col("user_id").is_not_null())
        self._drop(f"missing {names['user_id']}", log.height - with_user.height)
        timed = with_user.filter(pl.col("time").is_not_null())
        without = with_user.height - timed.height
        skipped = 0
        if (mask := self._skipped.get(names["time"])) is not None:
            skipped = int(mask.gather(with_user["row"]).sum())
        self._drop(f"missing {names['time']}", without - skipped)
        self._drop(f"{names['time']} that a clock change skips", skipped)
        if timed["item_id"].null_count():
            without_item = timed.filter(pl.col("item_id").is_null())["row"]
            raise ValueError(
                f"{self._rows.place(without_item[0])}: {names['item_id']} is missing, every event "
                f"needs its item; missing in {len(without_item)} of {log.height} rows"
            )
        if timed.is_empty():
            why = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items())
            raise ValueError(f"{self.path}: no usable row: {why}")
        return timed.drop("row")

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] = int(count)

    def _fill(self, reason: str, count: int) -> None:
        if count:
            self.filled[reason] = int(count)
