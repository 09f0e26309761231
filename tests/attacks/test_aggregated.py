"""Pooling several probes of one person."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.aggregated import Aggregated
from attacks.cosine import Cosine
from tests.planted import attacked, identifiers, lift, noise, positions, world


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 4), max_size=40),
    st.sampled_from([1, 2, 3, 5, "all"]),
    st.sampled_from([None, 5, 8]),
)
def test_groups_equal_those_of_a_loop_over_users(user_row, m, at_least):
    least = at_least or (1 if m == "all" else m)
    expected, group = np.full(len(user_row), -1), 0
    for user in sorted(set(user_row)):
        mine = [i for i, other in enumerate(user_row) if other == user]
        if len(mine) < least:
            continue
        size = len(mine) if m == "all" else m
        for start in range(0, len(mine) - size + 1, size):
            expected[mine[start : start + size]] = group
            group += 1

    found = Aggregated(m=m, at_least=at_least).pool(np.array(user_row, np.int64))

    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("m", [2, 5, 10])
def test_m_probes_are_worth_one_with_less_noise_by_the_root_of_m(m):
    users = positions(1000)
    several, quieter, single = (
        replace(
            world(users, scatter, probes=probes, seed=seed),
            vectors=users.astype(np.float32),
            user_row=np.arange(1000),
        )
        for seed, (scatter, probes) in enumerate([(4, 3 * m), (4 / np.sqrt(m), 3), (4, 3)])
    )
    found, expected = lift(Aggregated(m=m), several), lift(Cosine(), quieter)

    # 3,000 groups: five standard deviations of the difference of two proportions.
    share = expected / 1000
    assert abs(found - expected) < 5000 * np.sqrt(2 * share * (1 - share) / 3000)
    assert found > 1.5 * lift(Cosine(), single)


def test_one_probe_of_active_users_speaks_about_the_same_users():
    counts = np.array([1, 4, 5, 9, 10, 23])
    user_row = np.repeat(np.arange(6), counts)
    kept = {
        m: set(user_row[Aggregated(m=m, at_least=5).pool(user_row) >= 0]) for m in (1, 5, "all")
    }

    assert kept[1] == kept[5] == kept["all"] == {2, 3, 4, 5}


def test_single_probes_of_everybody_are_the_plain_attack():
    planted = world(positions(), 1.0)

    np.testing.assert_array_equal(
        attacked(Aggregated(m=1), planted).greater, attacked(Cosine(), planted).greater
    )


def test_from_chance_to_certainty():
    assert 0.4 < lift(Aggregated(m=2), noise()) < 1.6
    assert lift(Aggregated(m="all"), identifiers()) == 100


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ValueError, match="m must be at least 1 or 'all', got 0"):
        Aggregated(m=0)
    with pytest.raises(ValueError, match="at_least must be 5 or more, got 4"):
        Aggregated(m=5, at_least=4)
    with pytest.raises(ValueError, match="at_least must be 1 or more, got 0"):
        Aggregated(m="all", at_least=0)
