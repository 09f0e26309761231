"""Reading of ids as text: `7`, `07` and `7.0` in a text file are different.

An id is a number only if the file has types. The exception is for pandas: it writes a column of
integers with a missing value as floats, in which every id ends in ``.0``.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from suite.datasets.reading.values import MISSING, Place, is_text, refuse_where

_FLOATED = r"^-?[0-9]+\.0$"
_EXACT: dict[pl.DataType, int] = {pl.Float16(): 2**11, pl.Float32(): 2**24, pl.Float64(): 2**53}
"""Bounds below which integers are exact in a floating-point type."""


@dataclass(frozen=True)
class Ids:
    """Ids of a column.

    Attributes
    ----------
    text : (n,)
        String, null if missing.
    num_stripped
        Number of ids around which blanks were removed.
    """

    text: pl.Series
    num_stripped: int


def text_ids(values: pl.Series, place: Place) -> Ids:
    """Read a column of ids.

    Parameters
    ----------
    values : (n,)
        Text, integers of any type, or bytes (as text if they are UTF-8, otherwise hexadecimal).
        Null, NaN, blanks and the spellings in ``values.MISSING`` are missing.
    place
        Returns the location of a row, for messages.

    Raises
    ------
    ValueError
        One line: the type has no ids, or a floating-point id is not an integer or too large to be
        exact, with its row.
    """
    if values.dtype.is_float():
        text = _whole(values, place)
    elif values.dtype == pl.Binary:
        text = _decoded(values)
    elif values.dtype.is_nested() or values.dtype in (pl.Object, pl.Duration):
        raise ValueError(
            f"{place(None)}: {values.name} is {values.dtype}, must be text or integers"
        )
    else:
        text = values.cast(pl.String)
    plain = text.str.strip_chars()
    present = pl.select(pl.when(~plain.is_in(MISSING)).then(plain)).to_series().alias(values.name)
    stripped = (present != text).sum()
    if values.dtype.is_decimal():
        present = present.str.replace(r"\.0+$", "")
    elif is_text(values) and present.count() and present.str.contains(_FLOATED).all():
        present = present.str.strip_suffix(".0")
    return Ids(present, int(stripped))


def _whole(values: pl.Series, place: Place) -> pl.Series:
    present = values.fill_nan(None)
    exact = _EXACT[values.dtype]
    wrong = (present != present.floor()) | (present.abs() >= exact)
    allowed = f"text, or an integer below {exact}: larger ones are not exact as {values.dtype}"
    refuse_where(wrong, values, place, allowed)
    return present.cast(pl.Int64).cast(pl.String)


def _decoded(values: pl.Series) -> pl.Series:
    try:
        return values.cast(pl.String)
    except pl.exceptions.PolarsError:
        return values.bin.encode("hex")
