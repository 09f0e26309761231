"""Columns of a table as one matrix, a row per vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.vectors.choice import Kind

NUMBERS = (
    *(pl.Float16, pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64),
    *(pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
)
"""Types that NumPy has as well; decimals and 128-bit integers are none of them."""

_LIST_TEXT = r"^\s*\[[^\[\]]*\]\s*$"


def kinds(sample: pl.DataFrame) -> dict[str, Kind]:
    """Kind of each column, by its type; of text by its values.

    Parameters
    ----------
    sample
        First rows of the table.
    """
    return {column.name: _kind(column) for column in sample.iter_columns()}


def _kind(column: pl.Series) -> Kind:
    dtype = column.dtype
    if isinstance(dtype, pl.List | pl.Array):
        return "list" if dtype.inner in NUMBERS else "other"
    if dtype != pl.String:
        return "number" if dtype in NUMBERS else "other"
    text = column.drop_nulls()
    if text.is_empty():
        return "other"
    if text.str.contains(_LIST_TEXT).all():
        return "list"
    return (
        "number"
        if text.str.strip_chars().cast(pl.Float64, strict=False).is_not_null().all()
        else "other"
    )


def matrix(frame: pl.DataFrame) -> NDArray[Any]:
    """Vectors of one list column, or of one column per dimension, ``(n, d)``.

    Text is read as numbers, or as lists of them: ``[0.5, 1]`` as JSON and pandas write it,
    ``[0.5 1.]`` as NumPy does.

    Raises
    ------
    ValueError
        One line: the column and row, what was found.
    """
    columns = [_numbers(column, alone=frame.width == 1) for column in frame.iter_columns()]
    if len(columns) > 1:
        return np.column_stack([column.to_numpy() for column in columns])
    (column,) = columns
    if isinstance(column.dtype, pl.List) and len(column):
        lengths = column.list.len()
        if lengths.n_unique() > 1:
            row = (lengths != lengths[0]).arg_max()
            raise ValueError(
                f"column {column.name!r}: {lengths[row]} dimensions in row {row}, "
                f"{lengths[0]} in row 0; all vectors need the same number"
            )
        if not lengths[0]:
            raise ValueError(f"column {column.name!r}: the lists are empty, must hold numbers")
        column = column.list.to_array(lengths[0])
    found: NDArray[Any] = column.to_numpy()
    return found if found.ndim > 1 else found[:, None]


def _numbers(column: pl.Series, *, alone: bool) -> pl.Series:
    """Column of numbers, or where it is alone of lists of them, without nulls."""
    dtype = column.dtype
    if column.null_count():
        raise ValueError(f"column {column.name!r}: null in row {column.is_null().arg_max()}")
    if dtype == pl.String:
        return _parsed(column, alone=alone)
    inner = dtype.inner if alone and isinstance(dtype, pl.List | pl.Array) else dtype
    if inner not in NUMBERS:
        raise ValueError(
            f"column {column.name!r}: {dtype} holds no numbers; allowed are integers and floats "
            "of up to 64 bits" + ", or lists of them" * alone
        )
    return column


def _parsed(column: pl.Series, *, alone: bool) -> pl.Series:
    text = column.str.strip_chars()
    if alone and text.str.contains(_LIST_TEXT).any():
        parts = text.str.strip_chars("[] \n\t").str.replace_all(r"[\s,]+", " ").str.split(" ")
        found = parts.cast(pl.List(pl.Float64), strict=False)
        # An element that is no number is null in its list.
        bad = ~text.str.contains(_LIST_TEXT) | found.list.eval(pl.element().is_null()).list.any()
    else:
        found = text.cast(pl.Float64, strict=False)
        bad = found.is_null()
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise ValueError(f"column {column.name!r}: {text[row][:40]!r} in row {row} is no number")
    return found
