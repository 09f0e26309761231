from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from attacks.audit.rounding import LARGE_OFFSET, equal_rows, rounded


def vectors(num: int = 60, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.rint(rng.standard_normal((num, 3)) * 2**20) / 2**20


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 1)), min_size=1, max_size=30))
def test_rows_have_one_number_exactly_where_they_are_equal(rows: list[tuple[int, int]]) -> None:
    same = equal_rows(np.array(rows, np.float32))
    for a, first in enumerate(rows):
        assert [same[a] == same[b] for b in range(len(rows))] == [first == row for row in rows]


def test_minus_zero_is_zero() -> None:
    assert len(set(equal_rows(np.array([[0.0, 1], [-0.0, 1]], np.float32)).tolist())) == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.int16, np.bool_])
def test_numbers_that_float32_holds_stay_as_they_are(dtype: Any) -> None:
    given = (vectors() + 1000).astype(dtype)
    found = rounded(given, 20)
    np.testing.assert_array_equal(found.vector, given)
    assert not found.offset.any()
    assert found.num_merged == 0


def test_an_offset_below_the_limit_stays_and_one_above_goes() -> None:
    spread = np.median(np.abs(vectors() - np.median(vectors(), axis=0)), axis=0)
    for factor in (0.9, -0.9):
        assert not rounded(vectors() + factor * LARGE_OFFSET * spread, 20).offset.any()
    moved = vectors() + np.array([1e8, -3e7, 0])
    found = rounded(moved, 20)
    assert found.offset.tolist() == [1e8, -3e7, 0]
    np.testing.assert_array_equal(found.vector, vectors().astype(np.float32))


def test_any_offset_leaves_what_varies_at_float32s_precision() -> None:
    offset = np.array([1.7e9 + 0.37, -(2.0**52) / 3e3, 123456.789])
    moved = vectors() + offset
    found = rounded(moved, 20)
    # Subtracting is exact and leaves numbers of the spread's size.
    left = moved - found.offset
    assert np.abs(np.median(left, axis=0)).max() <= 1
    np.testing.assert_array_equal(found.vector, left.astype(np.float32))


def test_integers_that_share_an_offset_stay_distinct() -> None:
    whole = np.arange(200).reshape(-1, 2) + 2**40
    found = rounded(whole, 20)
    np.testing.assert_array_equal(found.vector - found.vector[0], whole - whole[0])
    assert found.num_merged == 0


def test_an_outlier_hides_no_offset_and_is_none() -> None:
    moved = vectors()
    moved[:5] *= 1e9
    assert not rounded(moved, 20).offset.any()
    assert rounded(moved + 1e8, 20).offset.tolist() == [1e8] * 3


def test_constant_dimensions_lose_the_offset_that_varying_ones_lose() -> None:
    moved = vectors()
    moved[:, 1] = 0.0
    assert rounded(moved + 1e8, 20).offset.tolist() == [1e8] * 3
    assert not rounded(np.full((4, 2), 1e8), 2).offset.any()


def test_merged_vectors_are_all_of_a_group_that_differed() -> None:
    given = np.array([[1.0, 2], [1.0, 2 + 2.0**-50], [1.0, 2], [3, 4], [3, 4], [5, 6]])
    found = rounded(given, 20)
    assert found.num_merged == 3
    assert len(set(found.same.tolist())) == 3
