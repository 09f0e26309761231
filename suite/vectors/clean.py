"""Ids, times, roles and sessions of vectors, as `attacks.audit` compares them."""

from __future__ import annotations

import polars as pl

from suite.datasets.reading.ids import text_ids
from suite.datasets.reading.times import instants
from suite.datasets.reading.values import Place, is_text, refuse_where, typed

_ORDERED = (
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
    *(pl.Float16, pl.Float32, pl.Float64, pl.Date, pl.Datetime, pl.Duration, pl.Time),
)


def known(values: pl.Series, place: Place) -> tuple[pl.Series, int]:
    """Put null where there is no id, or no session.

    Parameters
    ----------
    values : (n,)
        Of any type. Blanks around text are removed; NaN, blank text and the spellings of
        `suite.datasets.reading.values.MISSING` are missing.
    place
        Where a row is, for messages.

    Returns
    -------
    Series
        ``(n,)``.
    int
        Ids around which blanks were removed.
    """
    if is_text(values):
        found = text_ids(values, place)
        return found.text, found.num_stripped
    if values.dtype.is_float():
        return values.fill_nan(None), 0
    if values.dtype == pl.Binary:
        there = values.bin.size() > 0
        return pl.select(pl.when(there).then(values)).to_series().alias(values.name), 0
    return values, 0


def times(values: pl.Series, place: Place) -> pl.Series:
    """Turn times into numbers of the same order, ``(n,)``.

    Numbers, date-times, dates and durations are what they are. Text is numbers if all of it is,
    else ISO 8601.

    Raises
    ------
    ValueError
        One line, if a time is missing, is text of another form, or of a type that has no order.
    """
    values = typed(values)
    if is_text(values):
        values = instants(values, place).utc.alias(values.name)
    if values.dtype not in _ORDERED:
        raise ValueError(
            f"{place(None)}: {values.name} is {values.dtype}, must be integers or floats of up to "
            "64 bits, date-times, dates, or text of numbers or ISO 8601"
        )
    found = values.to_physical()
    if found.dtype.is_float():
        found = found.fill_nan(None)
    if found.null_count():
        row = int(found.is_null().arg_max() or 0)
        raise ValueError(f"{place(row)}: {values.name}: time must not be missing, but is")
    return found


def roles(values: pl.Series, place: Place, *, is_named: bool) -> pl.Series:
    """Check roles, as text ``(n,)``.

    Parameters
    ----------
    is_named
        Whether the column was asked for, or taken for its name.

    Raises
    ------
    ValueError
        One line, if one is neither ``gallery`` nor ``probe``.
    """
    hint = "" if is_named else "; --no-role leaves the column out"
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
