"""Groups of near points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.defenses import grouping
from attacks.defenses.grouping import near_groups


@given(u=st.integers(2, 80), k=st.integers(2, 9), seed=st.integers(0, 20), equal=st.booleans())
@settings(deadline=None)
def test_every_group_has_from_k_to_2_k_minus_1_members(u, k, seed, equal):
    k = min(k, u)
    points = np.random.default_rng(seed).normal(size=(u, 3)) * (not equal)
    counts = np.bincount(near_groups(points, k))

    assert counts.sum() == u
    assert counts.min() >= k
    assert counts.max() <= 2 * k - 1


@pytest.mark.parametrize("block", [1024, 40])
def test_planted_groups_that_are_far_apart_are_found(block, monkeypatch):
    monkeypatch.setattr(grouping, "BLOCK", block)
    rng = np.random.default_rng(0)
    planted = rng.permutation(np.repeat(np.arange(60), 4))
    points = 1e3 * rng.normal(size=(60, 5))[planted] + rng.normal(size=(240, 5))
    group = near_groups(points, 4)

    # A cut in the middle of many points may part one planted group at each cut.
    whole = [len(np.unique(group[planted == one])) == 1 for one in range(60)]
    assert np.mean(whole) >= (1.0 if block > 240 else 0.5)


def test_halving_costs_little_nearness(monkeypatch):
    points = np.random.default_rng(0).normal(size=(900, 8))

    def scatter(group):
        return sum(
            ((points[group == g] - points[group == g].mean(0)) ** 2).sum() for g in set(group)
        )

    together = scatter(near_groups(points, 5))
    monkeypatch.setattr(grouping, "BLOCK", 128)
    apart = scatter(near_groups(points, 5))
    at_random = scatter(np.arange(900) % 180)

    assert together < 0.8 * at_random
    assert apart < 1.25 * together


def test_mdav_by_hand():
    # The farthest from the mean, 5.8, is 20; its nearest is 9. The farthest from 20 is 0, with 1.
    points = np.array([[0.0], [1.0], [2.0], [3.0], [9.0], [20.0]])
    group = near_groups(points, 2)

    assert [set(np.flatnonzero(group == g)) for g in range(3)] == [{4, 5}, {0, 1}, {2, 3}]
