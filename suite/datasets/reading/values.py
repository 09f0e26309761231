"""What a column of text means: missing, a number, yes or no.

Text files carry no types, and typed ones hold text too; the same rules read both.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

MISSING = (
    *("", "#N/A", "#NA", "<NA>", "N/A", "NA", "n/a", "NULL", "null", "None", "NaN", "nan"),
    *("-NaN", "-nan", "\\N"),
)
"""Spellings of a missing value: those that pandas reads and writes, and MySQL's and Hive's."""

NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
"""A decimal number, alone in its field."""

Place = Callable[[int | None], str]
"""Where a row, or with None the column is, for messages; `suite.datasets.reading.files` has two."""

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_SHOWN_CHARACTERS = 60


def is_text(values: pl.Series) -> bool:
    """Tell whether a column holds text, categories included."""
    return values.dtype in _TEXT


def spelled(values: pl.Series) -> pl.Series:
    """Text of a column: null where missing, as it stands elsewhere.

    Blanks around the values are removed where all have them, as in ``a, b, c``; around some of
    them only they are left, for what reads the values to refuse.
    """
    text = values.cast(pl.String)
    plain = text.str.strip_chars()
    missing = plain.is_in(MISSING)
    there = pl.select(pl.when(~missing).then(text)).to_series()
    if (there != plain).drop_nulls().all():
        there = pl.select(pl.when(~missing).then(plain)).to_series()
    return there.alias(values.name)


def refuse_where(wrong: pl.Series, values: pl.Series, place: Place, allowed: str) -> None:
    """Refuse the first wrong value, if there is one.

    Parameters
    ----------
    wrong : (n,)
        Boolean; null is not wrong.
    values : (n,)
        The column as it came.

    Raises
    ------
    ValueError
        One line: where, the column, the value, what is allowed.
    """
    if wrong.any():
        row = int(wrong.fill_null(value=False).arg_max() or 0)
        raise ValueError(f"{place(row)}: {values.name} is {shown(values[row])}, must be {allowed}")


def shown(value: object) -> str:
    """Write a value in a message: on one line, and not a whole article."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = "".join(filter(str.isprintable, text))
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def numbers(values: pl.Series, place: Place) -> pl.Series:
    """Read a column as numbers.

    Returns
    -------
    Series
        Float64, null where missing or NaN.

    Raises
    ------
    ValueError
        One line, with row and value, of text that is no number; of a type that holds none.
    """
    if is_text(values):
        text = spelled(values)
        refuse_where(~text.str.contains(NUMBER), values, place, "a number")
        return text.cast(pl.Float64)
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise ValueError(f"{place(None)}: {values.name} is {values.dtype}, must be a number")
    return values.cast(pl.Float64).fill_nan(None)


def typed(values: pl.Series) -> pl.Series:
    """Give a column of text the type that all its values have.

    Returns
    -------
    Series
        Boolean if each is true or false (in any case), Int64 or Float64 if each is a number, else
        the column as it came, like one that is not text.
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
    found = text.cast(pl.Float64)
    whole = text.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == text.null_count() else found


def booleans(values: pl.Series, place: Place) -> pl.Series:
    """Read a column as yes or no: Boolean, or 0 and 1.

    Raises
    ------
    ValueError
        One line, with row and value, of anything else.
    """
    found = typed(values)
    if found.dtype in (pl.Boolean, pl.Null):
        return found.cast(pl.Boolean)
    allowed = "true or false, or 1 or 0"
    if not found.dtype.is_numeric():
        wrong = ~spelled(found).str.to_lowercase().is_in(["true", "false", "1", "0"])
        refuse_where(wrong, values, place, allowed)
        return spelled(found).str.to_lowercase().is_in(["true", "1"])
    found = found.cast(pl.Float64).fill_nan(None)
    refuse_where(~found.is_in([0.0, 1.0]), values, place, allowed)
    return found.cast(pl.Boolean)
