from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from suite.vectors.matrix import kinds, matrix

ROWS = [[0.5, -1.25, 3e-7], [1.0, 0.0, 1e9]]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"v": pl.Series(ROWS, dtype=pl.List(pl.Float64))}),
        pl.DataFrame({"v": pl.Series(ROWS, dtype=pl.Array(pl.Float64, 3))}),
        pl.DataFrame({"v": [json.dumps(row) for row in ROWS]}),
        pl.DataFrame({"v": [str(np.array(row)) for row in ROWS]}),
        pl.DataFrame({"v": [f" [ {row[0]},\n {row[1]}, {row[2]} ] " for row in ROWS]}),
        pl.DataFrame({f"v{j}": [row[j] for row in ROWS] for j in range(3)}),
        pl.DataFrame({f"v{j}": [f" {row[j]!r}" for row in ROWS] for j in range(3)}),
    ],
    ids=["list", "array", "JSON", "NumPy", "blanks", "columns", "text columns"],
)
def test_every_layout_is_the_same_matrix(frame: pl.DataFrame) -> None:
    np.testing.assert_array_equal(matrix(frame), np.array(ROWS))


def test_one_column_is_one_dimension() -> None:
    assert matrix(pl.DataFrame({"x": [1, 2]})).tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1.0]], "list"),
        ([["a"]], "other"),
        ([[[1.0]]], "other"),
        ([1], "number"),
        ([True], "other"),
        ([Decimal(1)], "other"),
        (pl.Series([1], dtype=pl.Int128), "other"),
        (["[1, 2]", None], "list"),
        (["0.5", None, "-1e3"], "number"),
        (["0.5", "x"], "other"),
        ([None, None], "other"),
    ],
)
def test_a_column_is_of_lists_of_numbers_or_of_something_else(values: Any, expected: str) -> None:
    assert kinds(pl.DataFrame({"x": values})) == {"x": expected}


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"x": [1.0, None]}, "column 'x': null in row 1"),
        ({"x": [Decimal(1)]}, r"'x': found Decimal.*, allowed: .* up to 64 bits, or lists"),
        ({"x": pl.Series([1], dtype=pl.Int128)}, "found Int128, allowed: "),
        ({"x": [[Decimal(1)]]}, "found List.Decimal.*, allowed: "),
        ({"x": [[[1.0]]]}, "found List.*, allowed: "),
        ({"x": [[]]}, "allowed: |the lists are empty"),
        ({"x": pl.Series([[]], dtype=pl.List(pl.Float32))}, "the lists are empty"),
        ({"x": [[1.0], [1.0, 2.0]]}, "2 dimensions in row 1, 1 in row 0"),
        ({"x": ["[1, 2]", "[1, two]"]}, r"column 'x': '\[1, two\]' in row 1 is not a number"),
        ({"x": ["[1, 2]", "[1, 2"]}, r"'\[1, 2' in row 1 is not a number"),
        ({"x": ["[1, 2]", "[]"]}, r"'\[\]' in row 1 is not a number"),
        ({"x": ["1", "2"], "y": ["1", "one"]}, "column 'y': 'one' in row 1 is not a number"),
        ({"x": [1], "y": [[1.0]]}, "column 'y': found List.Float64., allowed: .* up to 64 bits$"),
    ],
)
def test_what_is_no_number_is_named(columns: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        matrix(pl.DataFrame(columns))
