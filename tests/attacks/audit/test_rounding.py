from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attacks.audit.rounding import Rounded, rounded

USER = np.repeat(np.arange(20), 3)


def vectors() -> NDArray[np.float64]:
    return np.rint(np.random.default_rng(0).standard_normal((60, 3)) * 2**20) / 2**20


def of(given: NDArray[Any]) -> Rounded:
    return rounded(given, np.arange(len(given)), USER[: len(given)])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.int16, np.bool_])
def test_numbers_that_float32_holds_stay_as_they_are(dtype: Any) -> None:
    given = (vectors() + 1000).astype(dtype)
    found = of(given)
    np.testing.assert_array_equal(found.vector, given)
    assert not found.offset.any()
    assert found.num_merged == 0


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble, ">f8"])
def test_an_offset_goes_before_rounding(dtype: Any) -> None:
    moved = (vectors() + np.array([1e8, -3e7, 0])).astype(dtype)
    found = of(moved)
    assert found.offset.tolist() == [1e8, -3e7, 0]
    np.testing.assert_array_equal(found.vector, vectors().astype(np.float32))


def test_integers_that_share_an_offset_stay_distinct() -> None:
    whole = np.arange(120).reshape(-1, 2) + 2**40
    found = of(whole)
    np.testing.assert_array_equal(found.vector - found.vector[0], whole - whole[0])
    assert found.num_merged == 0


def test_merged_vectors_are_those_that_rounding_gave_a_twin() -> None:
    given = np.array([[1.0, 2], [1.0, 2 + 2.0**-50], [1.0, 2], [3, 4], [3, 4], [5, 6]])
    found = of(given)
    assert found.num_merged == 3
    assert len(set(found.same.tolist())) == 3
