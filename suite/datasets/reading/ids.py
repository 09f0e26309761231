"""Ids as people write them, as text: `7`, `07` and `7.0` in a text file are what they are.

Only the file's own types say that an id is a number. One exception is pandas's: a column of whole
numbers with a value missing becomes one of floats, in which every id ends in ``.0``.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from suite.datasets.reading.values import MISSING, Place, is_text, refuse_where

_FLOATED = r"^-?[0-9]+\.0$"
_EXACT: dict[pl.DataType, int] = {pl.Float16(): 2**11, pl.Float32(): 2**24, pl.Float64(): 2**53}
"""Below these, whole numbers of a floating type are exact, and different ones stay different."""


@dataclass(frozen=True)
class Ids:
    """Ids of a column.

    Attributes
    ----------
    text : (n,)
        String, null where missing.
    num_stripped
        Ids around which blanks were removed.
    """

    text: pl.Series
    num_stripped: int


def text_ids(values: pl.Series, place: Place) -> Ids:
    """Read a column of ids.

    Parameters
    ----------
    values : (n,)
        Text, whole numbers of any type, or bytes (as text where they are UTF-8, else hexadecimal).
        Null, NaN, blanks only and the spellings in ``values.MISSING`` are missing.
    place
        Where a row is, for messages.

    Raises
    ------
    ValueError
        One line, if the type has no ids, or a floating-point id is not whole or too large to be
        exact; the row and value are named.
    """
    if values.dtype.is_float():
        text = _whole(values, place)
    elif values.dtype == pl.Binary:
        text = _decoded(values)
    elif values.dtype.is_nested() or values.dtype in (pl.Object, pl.Duration):
        raise ValueError(
            f"{place(None)}: {values.name} is {values.dtype}, must be text or whole numbers"
        )
    else:
        text = values.cast(pl.String)
    plain = text.str.strip_chars()
    there = pl.select(pl.when(~plain.is_in(MISSING)).then(plain)).to_series().alias(values.name)
    stripped = (there != text).sum()
    if values.dtype.is_decimal():
        there = there.str.replace(r"\.0+$", "")
    elif is_text(values) and there.count() and there.str.contains(_FLOATED).all():
        there = there.str.strip_suffix(".0")
    return Ids(there, int(stripped))


def _whole(values: pl.Series, place: Place) -> pl.Series:
    there = values.fill_nan(None)
    exact = _EXACT[values.dtype]
    wrong = (there != there.floor()) | (there.abs() >= exact)
    allowed = f"text, or a whole number below {exact}: larger ones are not exact as {values.dtype}"
    refuse_where(wrong, values, place, allowed)
    return there.cast(pl.Int64).cast(pl.String)


def _decoded(values: pl.Series) -> pl.Series:
    try:
        return values.cast(pl.String)
    except pl.exceptions.PolarsError:
        return values.bin.encode("hex")
