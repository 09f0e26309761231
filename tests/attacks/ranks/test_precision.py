"""Float64 vectors, and vectors that are told apart no more."""

from collections import Counter

import numpy as np
import pytest

from attacks.cosine import Cosine
from attacks.euclidean import Euclidean
from attacks.ranks.exact import exact_ranks
from attacks.ranks.means import user_means
from attacks.ranks.precision import (
    class_sizes,
    equal_rows,
    num_merged,
    num_tied_apart,
    offset,
    to_float32,
)
from tests.planted import positions, top1, world


def planted(shift, dtype=np.float64):
    """Gallery means, probes and users of a planted world that is moved in float64."""
    made = world(positions(200, 16), 0.5)
    vectors, probe = (v.astype(dtype) + dtype(shift) for v in (made.vectors, made.probe))
    return user_means(vectors, made.user_row), probe, made.true_row


@pytest.mark.parametrize("shift", [1e8, -1e11, [1e8] + [0] * 15])
def test_a_large_offset_of_float64_vectors_changes_no_rank(shift):
    shift = np.broadcast_to(np.asarray(shift, np.float64), 16)
    gallery, probe, true_row = planted(0)
    moved = [v + shift for v in (gallery, probe)]

    ranks = exact_ranks(moved[1], moved[0], true_row, metric="euclidean")

    expected = exact_ranks(probe, gallery, true_row, metric="euclidean")
    # Next to the offset float64 itself keeps 4 to 8 digits.
    assert (ranks.greater == expected.greater).mean() > 0.99
    assert top1(ranks) == pytest.approx(top1(expected), abs=0.002)
    assert top1(ranks) > 0.9


@pytest.mark.parametrize("attack", [Cosine(), Euclidean()])
def test_an_attack_names_as_many_with_and_without_an_offset(attack):
    gallery, probe, true_row = planted(0)
    plain = attack.ranks(probe, gallery, true_row)

    moved = attack.ranks(probe + 1e8, gallery + 1e8, true_row)

    # The cosine then sees angles at the median, which is not quite where they were before.
    assert top1(moved) == pytest.approx(top1(plain), abs=0.02)
    np.testing.assert_allclose(
        attack.best(probe + 1e8, gallery + 1e8), attack.best(probe, gallery), atol=0.2
    )


def test_means_of_float64_vectors_keep_the_digits_that_an_offset_takes():
    rng = np.random.default_rng(0)
    user_row = rng.integers(3, size=20_000)
    fine = rng.integers(-(2**20), 2**20, (20_000, 2)) * 2.0**-22

    moved = user_means(fine + 2.0**30, user_row)

    assert ((fine + 2.0**30) - 2.0**30 == fine).all()
    np.testing.assert_allclose(moved - 2.0**30, user_means(fine, user_row), rtol=0, atol=2.0**-22)


def test_what_float32_holds_is_not_moved():
    rng = np.random.default_rng(1)
    held = rng.standard_normal((50, 4)).astype(np.float32).astype(np.float64) + 0
    held[:, 1] = 1e8  # nobody differs there
    held[:, 2] = rng.integers(2, size=50)
    held[:, 3] += 100  # two digits of float32's seven

    assert not offset(held).any()
    np.testing.assert_array_equal(to_float32(held, offset(held)), held.astype(np.float32))
    one = held.astype(np.float32)
    assert to_float32(one, offset(one)) is one


def test_only_the_columns_that_float32_would_blur_are_moved():
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((51, 3))
    vectors[:, 1] += 1e8
    vectors[7, 2] = 1e30

    center = offset(vectors)

    np.testing.assert_array_equal(center, [0, 1e8, 0])
    np.testing.assert_allclose(to_float32(vectors, center)[:, 1], vectors[:, 1] - 1e8, rtol=1e-6)


@pytest.mark.parametrize("shift", [1.7e9 + 0.37, -(2.0**52) / 3e3, 123456.789])
def test_an_offset_that_is_not_round_is_found_to_some_standard_errors(shift):
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((1000, 8)) + shift

    center = offset(vectors)

    # Six of them, by the closed form for a normal sample's median.
    assert np.abs(center - np.median(vectors, axis=0)).max() < 6.5 * np.sqrt(np.pi / 2 / 1000)
    left = vectors - center
    np.testing.assert_allclose(to_float32(vectors, center), left, rtol=2.0**-24)


def test_an_outlier_hides_no_offset_and_is_none():
    vectors = np.random.default_rng(4).standard_normal((40, 3))
    vectors[0] *= 1e9

    assert not offset(vectors).any()
    assert offset(vectors + 1e8).tolist() == [1e8] * 3


def test_columns_in_which_nobody_differs_lose_the_offset_of_the_others():
    vectors = np.random.default_rng(5).standard_normal((40, 3))
    vectors[:, 1] = 0

    assert offset(vectors + 1e8).tolist() == [1e8] * 3
    assert offset(vectors + np.array([1e8, 1, 0])).tolist() == [1e8, 0, 0]
    assert not offset(np.full((4, 2), 1e8 + 0.25)).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_have_one_number_exactly_where_they_are_equal(dtype):
    rng = np.random.default_rng(6)
    rows = rng.integers(-1, 2, (80, 3)).astype(dtype) * dtype(0.1)

    same = equal_rows(rows)

    for a, b in zip(*np.triu_indices(80), strict=True):
        assert (same[a] == same[b]) == (rows[a] == rows[b]).all()
    assert sorted(set(same.tolist())) == list(range(len({tuple(row + 0.0) for row in rows})))


@pytest.mark.parametrize("seed", range(5))
def test_merged_vectors_are_those_of_a_dictionary(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 3, (60, 2)) + rng.integers(0, 2, (60, 1)) * 1e-12
    vectors[rng.integers(60, size=20)] *= -1
    rounded = vectors.astype(np.float32)
    before, after = (Counter(tuple((row + 0.0).tolist()) for row in v) for v in (vectors, rounded))
    merged = sum(
        after[tuple((row + 0.0).tolist())] > before[tuple((wide + 0.0).tolist())]
        for row, wide in zip(rounded, vectors, strict=True)
    )

    assert 0 < merged < 60
    assert num_merged(vectors, rounded) == merged
    assert num_merged(rounded, rounded) == 0
    assert class_sizes(vectors[:0]).size == 0


def test_probes_tied_with_a_user_of_another_vector_are_counted():
    apart = 2.0**-20
    gallery = np.array([[1, 0], [1, 0], [1, 1], [2, 2], [0, 1], [1, apart]], np.float32)
    true_row = np.array([0, 1, 2, 3, 4, 5, -1, 0])
    probe = np.array([[1, 0]] * 2 + [[1, 1]] * 2 + [[0, 1]] * 4, np.float32)
    ranks = exact_ranks(probe, gallery, true_row)

    # To the cosine (1, 1) is (2, 2), and from (1, 0) a turn by 1e-6 is less than the tie rule sees.
    assert ranks.equal.tolist() == [2, 2, 1, 1, 0, 0, 0, 1]
    assert num_tied_apart(ranks.equal, gallery, true_row) == 4
    assert num_tied_apart(ranks.equal[4:], gallery, true_row[4:]) == 0
