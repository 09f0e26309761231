"""Hypervolume against a grid of points, and its ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.measures.frontier import anonymity, hypervolume, kept

SHARES = st.integers(0, 20).map(lambda n: n / 20)
RELEASES = st.lists(st.tuples(SHARES, SHARES), max_size=8)


def on_a_grid(points):
    """Share of the cells of a 20 x 20 grid whose upper right corner some release reaches."""
    corners = [(x / 20, y / 20) for x in range(1, 21) for y in range(1, 21)]
    return np.mean([any(u >= x and p >= y for u, p in points) for x, y in corners])


@given(RELEASES)
def test_hypervolume_is_the_share_of_the_square_that_is_dominated(points):
    utility, privacy = np.array(points, float).reshape(-1, 2).T
    assert hypervolume(utility, privacy) == pytest.approx(on_a_grid(points), abs=1e-12)


@given(RELEASES, st.tuples(SHARES, SHARES))
def test_one_release_more_never_makes_it_smaller(points, added):
    before, after = (np.array(p, float).reshape(-1, 2).T for p in (points, [*points, added]))
    assert hypervolume(*after) >= hypervolume(*before) - 1e-12


def test_a_worked_table():
    """0.5 x 1 and 0.3 x 0.4 beyond it; the third release adds nothing."""
    utility, privacy = np.array([0.5, 0.8, 0.4]), np.array([1.0, 0.4, 0.9])
    assert hypervolume(utility, privacy) == pytest.approx(0.5 + 0.3 * 0.4)


def test_the_ends_of_both_axes():
    np.testing.assert_allclose(kept(np.array([0.5, 0.6, 0.7, 0.4, 0.8]), 0.7), [0, 0.5, 1, 0, 1])
    np.testing.assert_allclose(anonymity(np.array([0.2, 1, 10, 100]), 100), [1, 1, 0.5, 0])
    assert hypervolume(np.ones(1), np.ones(1)) == 1
    assert hypervolume(np.empty(0), np.empty(0)) == 0


def test_nothing_can_be_kept_of_chance_and_nobody_hides_alone():
    with pytest.raises(ValueError, match=r"found an undefended AUC of 0\.5, allowed: > 0\.5"):
        kept(np.ones(1), 0.5)
    with pytest.raises(ValueError, match="found a gallery of 1, allowed: 2 users or more"):
        anonymity(np.ones(1), 1)
