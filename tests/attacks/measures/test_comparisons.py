from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.measures.comparisons import holm, paired_difference, paired_interval
from attacks.measures.intervals import few_bounds, rate_intervals, skewed_bounds, spread


def test_holm_gives_a_hand_worked_table() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, then never falling.
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one_and_takes_an_empty_family() -> None:
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.999))
def test_holm_rejects_what_the_step_down_rule_rejects(p: list[float], level: float) -> None:
    rejected = set()
    for step, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[i] * (len(p) - step) > level:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(np.array(p)) <= level)) == rejected


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_holm_refuses_what_is_no_probability(bad: float) -> None:
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\]"):
        holm(np.array([0.5, bad]))


def test_p_is_the_share_of_all_swaps_that_differ_as_much() -> None:
    rng = np.random.default_rng(1)
    user = np.arange(9).repeat(3)
    first, second = rng.random(27), rng.random(27) - 0.15
    sums = (first - second).reshape(9, 3).sum(axis=1)
    swaps = np.array(list(product([-1, 1], repeat=9))) @ sums
    exact = (np.abs(swaps) >= abs(sums.sum()) - 1e-12).mean()
    found = paired_difference(first, second, user, swaps=40_000, rng=rng)
    # Five standard deviations of a share of 40,000.
    assert found.p == pytest.approx(exact, abs=5 * (exact * (1 - exact) / 40_000) ** 0.5)
    assert 0.01 < exact < 0.5


def test_the_interval_is_that_of_the_differences() -> None:
    rng = np.random.default_rng(2)
    first, second, user = rng.random(300), rng.random(300), rng.integers(0, 40, 300)
    found = paired_difference(first, second, user, swaps=500, rng=rng, level=0.9)
    sums = np.array([(first - second)[user == one].sum() for one in range(40)])
    bounds = skewed_bounds(spread(sums, np.bincount(user).astype(float)), 0.9)
    assert (found.low, found.high) == pytest.approx(bounds)
    assert found.difference == pytest.approx(first.mean() - second.mean())


def test_few_users_who_differ_get_bounds_from_their_gains_and_losses() -> None:
    user = np.arange(60)
    first, second = np.isin(user, (0, 1, 2)) * 5.0, np.isin(user, (7, 8)) * 5.0
    low, high = paired_interval(first, second, user)[1:]
    ones = np.ones(60)
    gain = few_bounds((first > 0).astype(float), ones, 3, 0.95)
    loss = few_bounds((second > 0).astype(float), ones, 2, 0.95)
    assert low == pytest.approx(5 / 60 - 5 * np.hypot(3 / 60 - gain[0], loss[1] - 2 / 60))
    assert high == pytest.approx(5 / 60 + 5 * np.hypot(gain[1] - 3 / 60, 2 / 60 - loss[0]))


def test_the_same_attack_twice_differs_by_nothing() -> None:
    credit = np.random.default_rng(0).random(50)
    found = paired_difference(
        credit, credit, np.arange(50), swaps=100, rng=np.random.default_rng(0)
    )
    assert found.difference == found.low == found.high == 0
    assert found.p == 1


def test_pairing_finds_what_separate_intervals_overlap_on() -> None:
    rng = np.random.default_rng(3)
    user = np.arange(200).repeat(5)
    common = (rng.random(200) < 0.5).repeat(5).astype(float)
    better = np.maximum(common, rng.random(1000) < 0.06)
    found = paired_difference(better, common, user, swaps=999, rng=rng)
    separate = rate_intervals(np.column_stack([better, common]), user)
    assert found.low > 0
    assert found.p == pytest.approx(0.001)
    assert separate.low[0] < separate.high[1]


def test_a_difference_that_hangs_on_a_few_active_users_is_doubted() -> None:
    """One attack names whoever is active, the other as many probes of everybody."""
    rng = np.random.default_rng(1)
    probes = np.ceil(4 * rng.random(400) ** (-1 / 1.5)).astype(int)
    user, active = np.arange(400).repeat(probes), (probes > 20).repeat(probes)
    first = (rng.random(len(user)) < np.where(active, 0.5, 0.02)).astype(float)
    even = (rng.random(len(user)) < first.mean()).astype(float)
    found = paired_difference(first, even, user, swaps=99, rng=rng)
    assert found.doubt is not None
    assert re.fullmatch(r"differs between active .* of 400 users", found.doubt)
    again = (rng.random(len(user)) < first.mean()).astype(float)
    assert paired_difference(again, even, user, swaps=99, rng=rng).doubt is None


def test_attacks_on_different_probes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the same probes, got \(3,\) and \(2,\)"):
        paired_difference(
            np.zeros(3), np.zeros(2), np.arange(3), swaps=10, rng=np.random.default_rng(0)
        )


@pytest.mark.slow
def test_intervals_cover_a_planted_difference_and_p_is_uniform_without_one() -> None:
    rng = np.random.default_rng(7)
    covered, small = [], []
    for _ in range(1000):
        skill = rng.beta(1, 3, 150)
        probes = rng.integers(1, 12, 150)
        user = np.arange(150).repeat(probes)
        first, second, third = (
            rng.random(len(user)) < (skill * factor).repeat(probes) for factor in (1.0, 0.8, 0.8)
        )
        found = paired_difference(
            first.astype(float), second.astype(float), user, swaps=500, rng=rng
        )
        covered.append(found.low <= 0.25 * 0.2 <= found.high)
        null = paired_difference(
            second.astype(float), third.astype(float), user, swaps=199, rng=rng
        )
        small.append(null.p <= 0.05)
    assert 0.93 <= np.mean(covered) <= 0.97
    assert 0.03 <= np.mean(small) <= 0.07
