"""Affine maps that keep nothing of what they remove."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.defenses.linear import affine, check_directions, principal_axes


def vectors(n=300, d=5, *, offset=0.0, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return ((rng.normal(size=(n, d)) + offset) * scale).astype(np.float32)


@given(
    offset=st.sampled_from([0.0, 3.0, 1e4]),
    scale=st.sampled_from([1e-20, 1.0, 1e12]),
    seed=st.integers(0, 20),
)
@settings(deadline=None, max_examples=30)
def test_the_map_is_the_formula_in_float64_to_the_digits_of_float32(offset, scale, seed):
    train = vectors(offset=offset, scale=scale, seed=seed)
    center = train.mean(axis=0, dtype=np.float64)
    matrix = np.random.default_rng(seed).normal(size=(5, 5))
    found = affine(train, center, matrix).of(train)

    expected = center + (train.astype(np.float64) - center) @ matrix
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_many_vectors_are_mapped_in_pieces_as_few_are():
    train = vectors(80_000, 3)
    fitted = affine(train, np.zeros(3), np.diag([1.0, 2.0, 0.0]))

    rows = np.r_[0, 32_767, 32_768, 79_999]
    np.testing.assert_array_equal(fitted.of(train)[rows], fitted.of(train[rows]))


@pytest.mark.parametrize("constant", [0.0, 7.3])
def test_a_coordinate_in_which_nothing_varies_tells_nothing_of_what_was_removed(constant):
    train = np.hstack([vectors(), np.full((300, 3), constant, np.float32)])
    center = train.mean(axis=0, dtype=np.float64)
    # A direction off by rounding, as any that was computed is.
    axis = np.r_[np.ones(5), np.full(3, 1e-17)] / np.sqrt(5)
    shown = affine(train, center, np.eye(8) - np.outer(axis, axis)).of(train)

    assert (shown[:, 5:] == np.float32(constant)).all()
    naive = (train @ (np.eye(8) - np.outer(axis, axis))).astype(np.float32)
    # Without rounding to the grain the removed score is there, in full, where nothing else is.
    if constant == 0:
        assert abs(np.corrcoef(naive[:, 5], train @ axis)[0, 1]) > 0.999


def test_principal_axes_are_numpys_singular_vectors():
    train = vectors(offset=3.0)
    center = np.full(5, 0.5)
    right = np.linalg.svd(train - center)[2]

    found = principal_axes(train, center)
    np.testing.assert_allclose(np.abs(np.sum(found * right.T, axis=0)), 1, atol=1e-9)


def test_more_directions_than_dimensions_are_refused():
    check_directions(5, 5, "erased", "directions")
    with pytest.raises(ValueError, match=r"^erased: directions: found 6, allowed: at most 5, "):
        check_directions(6, 5, "erased", "directions")
