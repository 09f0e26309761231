"""Conversion of columns to a matrix with one row per vector."""

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
"""Types that NumPy also has, unlike decimals and 128-bit integers."""

_LIST_TEXT = r"^\s*\[[^\[\]]*\]\s*$"


def kinds(sample: pl.DataFrame) -> dict[str, Kind]:
    """Determine the kind of each column by its type, or of text by its values.

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
    """Convert one list column, or one column per dimension, to vectors ``(n, d)``.

    Text is read as numbers, or as lists of them: ``[0.5, 1]`` as in JSON and pandas, ``[0.5 1.]``
    as in NumPy.

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
            raise ValueError(f"column {column.name!r}: the lists are empty, must contain numbers")
        column = column.list.to_array(lengths[0])
    values: NDArray[Any] = column.to_numpy()
    return values if values.ndim > 1 else values[:, None]


def _numbers(column: pl.Series, *, alone: bool) -> pl.Series:
    """Check a column of numbers or, if ``alone``, of lists of them; nulls are rejected."""
    dtype = column.dtype
    if column.null_count():
        raise ValueError(f"column {column.name!r}: null in row {column.is_null().arg_max()}")
    if dtype == pl.String:
        return _parsed(column, alone=alone)
    inner = dtype.inner if alone and isinstance(dtype, pl.List | pl.Array) else dtype
    if inner not in NUMBERS:
        raise ValueError(
            f"column {column.name!r}: found {dtype}, allowed: integers and floats of up to 64 bits"
            + ", or lists of them" * alone
        )
    return column


def _parsed(column: pl.Series, *, alone: bool) -> pl.Series:
    text = column.str.strip_chars()
    if alone and text.str.contains(_LIST_TEXT).any():
        parts = text.str.strip_chars("[] \n\t").str.replace_all(r"[\s,]+", " ").str.split(" ")
        values = parts.cast(pl.List(pl.Float64), strict=False)
        # An element that is not a number is null in its list.
        bad = ~text.str.contains(_LIST_TEXT) | values.list.eval(pl.element().is_null()).list.any()
    else:
        values = text.cast(pl.Float64, strict=False)
        bad = values.is_null()
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise ValueError(f"column {column.name!r}: {text[row][:40]!r} in row {row} is not a number")
    return values
