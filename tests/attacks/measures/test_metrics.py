"""Metrics against hand-worked tables and explicit random orders of the ties."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.measures import metrics
from attacks.ranks.exact import Ranks, exact_ranks


def counts(*pairs):
    greater, equal = np.array(pairs, np.int32).T
    return Ranks(greater, equal)


# Five users; probe ranks: 1, {1 or 2}, 3, {4 or 5}, any of 1..5.
FIVE = counts((0, 0), (0, 1), (2, 0), (3, 1), (0, 4))
USER = np.array(["ann", "ann", "bob", "bob", "cem"])


def test_hand_worked_table_of_every_figure():
    found = metrics.identification(FIVE, USER, 5)

    assert found.top1 == pytest.approx((1 + 1 / 2 + 0 + 0 + 1 / 5) / 5)
    assert found.top5 == 1
    assert found.top10 is None
    assert found.top20 is None
    harmonic_5 = 1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5
    assert found.mrr == pytest.approx(
        (1 + 3 / 4 + 1 / 3 + (1 / 4 + 1 / 5) / 2 + harmonic_5 / 5) / 5
    )
    assert found.mean_rank == pytest.approx((1 + 1.5 + 3 + 4.5 + 3) / 5)
    assert found.median_rank == 3
    mean_log2 = (0 + 1 / 2 + math.log2(3) + math.log2(20) / 2 + math.log2(120) / 5) / 5
    assert found.bits == pytest.approx(math.log2(5) - mean_log2)
    assert found.bits_chance == pytest.approx(math.log2(5) - math.log2(120) / 5)
    assert found.chance == 1 / 5
    assert found.lift == pytest.approx(1.7)
    assert (found.num_gallery, found.num_probes, found.num_unmated, found.num_users) == (5, 5, 0, 3)
    assert (found.num_users_always, found.num_users_never) == (0, 1)
    assert found.per_user_top1 == pytest.approx((3 / 4 + 0 + 1 / 5) / 3)


def test_hand_worked_cumulative_match_characteristic():
    expected = [1.7 / 5, (1 + 1 + 0 + 0 + 2 / 5) / 5, (3 + 3 / 5) / 5, (3.5 + 4 / 5) / 5, 1]

    np.testing.assert_allclose(metrics.cmc(FIVE, 5), expected)


def test_documented_chance_figures_of_28361_users():
    num_gallery = 28_361
    ranks = Ranks(np.arange(num_gallery, dtype=np.int32), np.zeros(num_gallery, np.int32))

    found = metrics.identification(ranks, np.arange(num_gallery), num_gallery)

    assert found.chance == pytest.approx(0.000035, abs=5e-7)
    assert found.mrr == pytest.approx(0.00038, abs=5e-6)
    assert found.mean_rank == 14_181
    assert found.lift == pytest.approx(1)
    assert found.bits == pytest.approx(found.bits_chance)


def test_users_always_identified_have_no_tie_and_users_never_identified_not_even_one():
    ranks = counts((0, 0), (0, 0), (0, 0), (0, 1), (1, 0), (2, 3), (0, 5), (1, 1))
    user_row = np.array([0, 0, 1, 1, 2, 2, 3, 3])

    always, never = metrics.always_never(ranks, user_row)
    assert always.tolist() == [True, False, False, False]
    assert never.tolist() == [False, False, True, False]


small_ranks = st.integers(1, 6).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.integers(0, size - 1).flatmap(
            lambda greater: st.tuples(st.just(greater), st.integers(0, size - 1 - greater))
        ),
    )
)


@settings(deadline=None)
@given(small_ranks)
def test_figures_are_means_over_all_orders_of_the_ties(case):
    num_gallery, (greater, equal) = case
    ranks = counts((greater, equal))
    # The true user is number 0 among the tied; its place follows from each order of them.
    places = [greater + 1 + order.index(0) for order in itertools.permutations(range(equal + 1))]
    places = np.array(places, float)

    for k in range(1, num_gallery + 1):
        assert metrics.top_credit(ranks, k)[0] == pytest.approx((places <= k).mean())
        assert metrics.cmc(ranks, num_gallery)[k - 1] == pytest.approx((places <= k).mean())
    assert metrics.expected_rank(ranks)[0] == pytest.approx(places.mean())
    assert metrics.reciprocal_rank(ranks)[0] == pytest.approx((1 / places).mean())
    assert metrics.log2_rank(ranks)[0] == pytest.approx(np.log2(places).mean())


@settings(deadline=None)
@given(small_ranks, st.data())
def test_top1_at_a_common_size_is_the_mean_over_all_galleries_of_that_size(case, data):
    num_gallery, (greater, equal) = case
    common = data.draw(st.integers(1, num_gallery))
    # Others: +1 beats the true user, 0 ties, -1 loses.
    others = [1] * greater + [0] * equal + [-1] * (num_gallery - 1 - greater - equal)
    credits = [
        0.0 if 1 in drawn else 1 / (1 + drawn.count(0))
        for drawn in itertools.combinations(others, common - 1)
    ]

    found = metrics.top1_credit_at(counts((greater, equal)), num_gallery, common)

    assert found[0] == pytest.approx(np.mean(credits))


def test_top1_at_a_common_size_equals_the_binomial_formula_at_full_scale():
    num_gallery, common = 28_361, 1_000
    greater = [0, 1, 30, 1_000, 27_361, 27_362]
    expected = [
        math.comb(num_gallery - 1 - g, common - 1) / math.comb(num_gallery - 1, common - 1)
        for g in greater
    ]

    found = metrics.top1_credit_at(counts(*((g, 0) for g in greater)), num_gallery, common)

    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_reciprocal_and_log2_rank_are_exact_without_ties():
    ranks = counts((0, 0), (1, 0), (28_360, 0))

    np.testing.assert_array_equal(metrics.reciprocal_rank(ranks), [1, 1 / 2, 1 / 28_361])
    np.testing.assert_array_equal(metrics.log2_rank(ranks), np.log2([1, 2, 28_361]))


def test_users_absent_from_the_gallery_are_left_out_and_counted():
    with_absent = Ranks(
        *(np.append(count, value) for count, value in zip(FIVE, (5, 0), strict=True))
    )

    found = metrics.identification(with_absent, np.append(USER, "dan"), 5)

    assert found.num_unmated == 1
    assert found.top1 == metrics.identification(FIVE, USER, 5).top1
    assert metrics.cmc(with_absent, 5)[-1] == pytest.approx(5 / 6)


def test_random_vectors_have_a_lift_near_1_and_identical_ones_a_lift_of_n():
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((100, 8)).astype(np.float32)
    true_row = rng.integers(100, size=20_000)
    unrelated = rng.standard_normal((20_000, 8)).astype(np.float32)

    chance = metrics.identification(exact_ranks(unrelated, gallery, true_row), true_row, 100)
    certain = metrics.identification(
        exact_ranks(gallery[true_row], gallery, true_row), true_row, 100
    )

    # Four standard errors of a rate of 1/100 over 20,000 probes.
    assert chance.lift == pytest.approx(1, abs=0.28)
    assert chance.bits == pytest.approx(chance.bits_chance, abs=0.05)
    assert certain.lift == 100
    assert certain.bits == math.log2(100)
    assert certain.num_users_always == certain.num_users


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.identification(FIVE, USER[:4], 5), "user must name 5 probes, got 4"),
        (
            lambda: metrics.identification(FIVE, USER, 4),
            r"below num_gallery = 4, got 3 \+ 1 in row 3",
        ),
        (lambda: metrics.identification(counts((5, 0)), USER[:1], 5), "0 of 1 probes"),
        (lambda: metrics.top_credit(FIVE, 0), "k must be at least 1, got 0"),
        (lambda: metrics.top1_credit_at(FIVE, 5, 6), "common must be in 1..5, got 6"),
        (lambda: metrics.top1_credit_at(counts((5, 0)), 5, 2), "mated probes only"),
    ],
)
def test_bad_input_is_named_in_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
