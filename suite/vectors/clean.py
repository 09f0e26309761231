"""Normalization of ids, times, roles and sessions for `attacks.audit`."""

from __future__ import annotations

import polars as pl

from suite.datasets.reading.ids import text_ids
from suite.datasets.reading.times import instants
from suite.datasets.reading.values import Place, is_text, refuse_where, typed

_ORDERED = (
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
    *(pl.Float16, pl.Float32, pl.Float64, pl.Date, pl.Datetime, pl.Duration, pl.Time),
)


def identifiers(values: pl.Series, place: Place) -> tuple[pl.Series, int]:
    """Normalize ids or sessions; missing ones become null.

    Parameters
    ----------
    values : (n,)
        Values of any type. Blanks around text are removed; NaN, blank text and the spellings of
        `suite.datasets.reading.values.MISSING` are missing.
    place
        Returns the location of a row, for messages.

    Returns
    -------
    Series
        ``(n,)``.
    int
        Number of ids around which blanks were removed.
    """
    if is_text(values):
        ids = text_ids(values, place)
        return ids.text, ids.num_stripped
    if values.dtype.is_float():
        return values.fill_nan(None), 0
    if values.dtype == pl.Binary:
        present = values.bin.size() > 0
        return pl.select(pl.when(present).then(values)).to_series().alias(values.name), 0
    return values, 0


def times(values: pl.Series, place: Place) -> pl.Series:
    """Convert times to numbers of the same order, ``(n,)``.

    Numbers, date-times, dates and durations keep their values. Text is read as numbers if all of
    it can be, otherwise as ISO 8601.

    Raises
    ------
    ValueError
        One line: a time is missing, is text of another form, or of a type without an order.
    """
    values = typed(values)
    if is_text(values):
        values = instants(values, place).utc.alias(values.name)
    if values.dtype not in _ORDERED:
        raise ValueError(
            f"{place(None)}: {values.name} is {values.dtype}, must be integers or floats of up to "
            "64 bits, date-times, dates, or text of numbers or ISO 8601"
        )
    numbers = values.to_physical()
    if numbers.dtype.is_float():
        numbers = numbers.fill_nan(None)
    if numbers.null_count():
        row = int(numbers.is_null().arg_max() or 0)
        raise ValueError(f"{place(row)}: {values.name}: the time is missing")
    return numbers


def roles(values: pl.Series, place: Place, *, is_named: bool) -> pl.Series:
    """Check roles; return them as text ``(n,)``.

    Parameters
    ----------
    is_named
        Whether the column was given by the user, instead of found by its name.

    Raises
    ------
    ValueError
        One line: a role is neither ``gallery`` nor ``probe``.
    """
    hint = "" if is_named else "; ignore the column with --no-role"
    if not is_text(values):
        raise ValueError(
            f"{place(None)}: {values.name} is {values.dtype}, must be text, "
            f"'gallery' or 'probe'{hint}"
        )
    text = values.cast(pl.String)
    plain = text.str.strip_chars()
    wrong = ~plain.is_in(["gallery", "probe"]).fill_null(value=False)
    refuse_where(wrong, text.fill_null("null"), place, f"'gallery' or 'probe'{hint}")
    return plain


def classes(values: pl.Series, place: Place) -> pl.Series:
    """Write each value as text, ``(n,)``; what `identifiers` takes for missing is null.

    Raises
    ------
    ValueError
        One line, if the values are lists, structures or bytes.
    """
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
        raise ValueError(
            f"{place(None)}: {values.name} is {values.dtype}, must be text, numbers, true or false"
        )
    return identifiers(values, place)[0].cast(pl.String)
