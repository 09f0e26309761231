"""The columns of a user's file, each read as what it is used for; what was assumed is counted."""

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
        As it was named.
    dropped
        Rows left out, by reason; only reasons that occur.
    filled
        Rows kept although something had to be assumed, by reason.
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
        """Canonical ids of a column; null where missing."""
        found = ids.text_ids(self._rows.frame[column], self._rows.place)
        self._fill(f"blanks around {column} removed", found.num_stripped)
        return canonical_ids(found.text)

    def distinct_ids(self, column: str) -> pl.Series:
        """Canonical ids of a column in which none may occur twice; null where missing."""
        refuse_twice(ids.text_ids(self._rows.frame[column], self._rows.place).text, self.path)
        return self.ids(column)

    def times(
        self, column: str, *, unit: times.Unit | None, form: str | None, zone: str
    ) -> pl.Series:
        """Instants of a column, see `times.instants`; null where missing or skipped."""
        found = times.instants(
            self._rows.frame[column], self._rows.place, unit=unit, form=form, zone=zone
        )
        if found.skipped is not None and found.repeated is not None:
            self._skipped[column] = found.skipped
            self._fill(
                f"{column} that a clock change repeats read as the first", int(found.repeated.sum())
            )
        return found.utc

    def numbers(self, column: str | None) -> pl.Series:
        """Read numbers of a column, Float64; all null without one."""
        if column is None:
            return pl.Series([None], dtype=pl.Float64).new_from_index(0, self.num_rows)
        return values.numbers(self._rows.frame[column], self._rows.place)

    def device(self, column: str | None) -> pl.Series:
        """Read kinds of devices, Int8 from 0 to 3; all null without a column."""
        found = self.numbers(column)
        if column is not None:
            wrong = ~found.is_in([0.0, 1.0, 2.0, 3.0])
            native = self._rows.frame[column]
            values.refuse_where(wrong, native, self._rows.place, "0, 1, 2 or 3")
        return found.cast(pl.Int8)

    def booleans(self, column: str) -> pl.Series:
        """Read Boolean values of a column, or 0 and 1."""
        return values.booleans(self._rows.frame[column], self._rows.place)

    @property
    def num_rows(self) -> int:
        """Rows of the file, or of all files."""
        return self._rows.frame.height

    def column(self, column: str) -> pl.Series:
        """Values of a column as they came.

        Raises
        ------
        ValueError
            If they are lists, bytes or the like.
        """
        found = self._rows.frame[column]
        if found.dtype.is_nested() or found.dtype in (pl.Object, pl.Binary, pl.Duration):
            raise ValueError(f"{self.path}: {column} is {found.dtype}, must be text or numbers")
        return found

    def typed(self, column: str) -> pl.Series:
        """Values of a column; of one of text with the type that all of them have."""
        return values.typed(self.column(column))

    def text(self, column: str) -> pl.Series:
        """Values of a column as text."""
        return self.column(column).cast(pl.String)

    def usable(self, log: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
        """Leave out and count the events of nobody and those without a time.

        Parameters
        ----------
        log
            Canonical, as many rows as the file.
        names
            Column of the file that ``user_id``, ``item_id`` and ``time`` are from.

        Raises
        ------
        ValueError
            If an event that is left has no item, or nothing is left; one line.
        """
        log = log.with_row_index("row")
        someone = log.filter(pl.col("user_id").is_not_null())
        self._drop(f"missing {names['user_id']}", log.height - someone.height)
        timed = someone.filter(pl.col("time").is_not_null())
        without = someone.height - timed.height
        skipped = 0
        if (mask := self._skipped.get(names["time"])) is not None:
            skipped = int(mask.gather(someone["row"]).sum())
        self._drop(f"missing {names['time']}", without - skipped)
        self._drop(f"{names['time']} that a clock change skips", skipped)
        if timed["item_id"].null_count():
            nowhere = timed.filter(pl.col("item_id").is_null())["row"]
            raise ValueError(
                f"{self._rows.place(nowhere[0])}: {names['item_id']} is missing, every event needs "
                f"its item; so in {len(nowhere)} of {log.height} rows"
            )
        if timed.is_empty():
            why = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items())
            raise ValueError(f"{self.path}: no row can be used: {why}")
        return timed.drop("row")

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] = int(count)

    def _fill(self, reason: str, count: int) -> None:
        if count:
            self.filled[reason] = int(count)
