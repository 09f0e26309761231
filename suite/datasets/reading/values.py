"""Interpretation of columns: missing values, numbers, Booleans.

Text files have no types, and typed files contain text too; the same rules apply to both.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

MISSING = (
    *("", "#N/A", "#NA", "<NA>", "N/A", "NA", "n/a", "NULL", "null", "None", "NaN", "nan"),
    *("-NaN", "-nan", "\\N"),
)
"""Spellings of missing values: those of pandas, MySQL and Hive."""

NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
"""A decimal number that fills its field."""

Place = Callable[[int | None], str]
"""Location of a row, or with None of the column, for messages; see `reading.files`."""

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_SHOWN_CHARACTERS = 60


def is_text(values: pl.Series) -> bool:
    """Return whether a column contains text, categories included."""
    return values.dtype in _TEXT


def spelled(values: pl.Series) -> pl.Series:
    """Return the text of a column, null if missing.

    Blanks around the values are removed if all have them, as in ``a, b, c``; otherwise they are
    kept, and rejected when the values are parsed.
    """
    text = values.cast(pl.String)
    plain = text.str.strip_chars()
    missing = plain.is_in(MISSING)
    present = pl.select(pl.when(~missing).then(text)).to_series()
    if (present != plain).drop_nulls().all():
        present = pl.select(pl.when(~missing).then(plain)).to_series()
    return present.alias(values.name)


def refuse_where(wrong: pl.Series, values: pl.Series, place: Place, allowed: str) -> None:
    """Reject the first wrong value, if there is one.

    Parameters
    ----------
    wrong : (n,)
        Boolean; null is not wrong.
    values : (n,)
        The original column.

    Raises
    ------
    ValueError
        One line: the location, the column, the value, what is allowed.
    """
    if wrong.any():
        row = int(wrong.fill_null(value=False).arg_max() or 0)
        raise ValueError(f"{place(row)}: {values.name} is {shown(values[row])}, must be {allowed}")


def shown(value: object) -> str:
    """Format a value for a message: on one line, and shortened."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = "".join(filter(str.isprintable, text))
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def numbers(values: pl.Series, place: Place) -> pl.Series:
    """Read a column as numbers.

    Returns
    -------
    Series
        Float64, null if missing or NaN.

    Raises
    ------
    ValueError
        One line: text is not a number, with its row, or the type has no numbers.
    """
    if is_text(values):
        text = spelled(values)
        refuse_where(~text.str.contains(NUMBER), values, place, "a number")
        return text.cast(pl.Float64)
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise ValueError(f"{place(None)}: {values.name} is {values.dtype}, must be a number")
    return values.cast(pl.Float64).fill_nan(None)


def typed(values: pl.Series) -> pl.Series:
    """Convert a column of text to the type that all its values have.

    Returns
    -------
    Series
        Boolean if each is true or false (in any case), Int64 or Float64 if each is a number,
        otherwise the unchanged column; so is one that is not text.
    """
    if not is_text(values):
        return values
    text = spelled(values)
    if text.null_count() == len(text):
        return values
    lower = text.str.to_lowercase()
    if lower.drop_nulls().is_in(["true", "false"]).all():
        return lower == "true"
    if not text.str.contains(NUMBER).all():
        return values
    floats = text.cast(pl.Float64)
    integers = text.cast(pl.Int64, strict=False)
    return integers if integers.null_count() == text.null_count() else floats


def booleans(values: pl.Series, place: Place) -> pl.Series:
    """Read a column as Boolean: true and false, or 1 and 0.

    Raises
    ------
    ValueError
        One line: another value, with its row.
    """
    converted = typed(values)
    if converted.dtype in (pl.Boolean, pl.Null):
        return converted.cast(pl.Boolean)
    allowed = "true or false, or 1 or 0"
    if not converted.dtype.is_numeric():
        wrong = ~spelled(converted).str.to_lowercase().is_in(["true", "false", "1", "0"])
        refuse_where(wrong, values, place, allowed)
        return spelled(converted).str.to_lowercase().is_in(["true", "1"])
    numbers = converted.cast(pl.Float64).fill_nan(None)
    refuse_where(~numbers.is_in([0.0, 1.0]), values, place, allowed)
    return numbers.cast(pl.Boolean)
