"""The ball about the train mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from attacks.defenses.clipping import Ball, check_quantile, enclosing


def vectors(n=400, d=6, *, offset=0.0, seed=0):
    return (np.random.default_rng(seed).normal(size=(n, d)) + offset).astype(np.float32)


def test_the_radius_is_the_quantile_of_the_distances_to_the_mean():
    given = vectors(offset=5.0)
    ball = enclosing(given, 0.9, "gaussian")

    exact = given.astype(np.float64)
    distance = np.sort(np.linalg.norm(exact - exact.mean(axis=0), axis=1))

    # 399 * 0.9 = 359.1: a tenth of the way from the 360th smallest to the next.
    assert ball.radius == pytest.approx(0.9 * distance[359] + 0.1 * distance[360], rel=1e-5)
    np.testing.assert_allclose(ball.center, exact.mean(axis=0), rtol=1e-6)


def test_vectors_whose_squares_float32_cannot_hold_have_a_radius():
    given = vectors(50) * np.float32(1e30)

    assert enclosing(given, 0.9, "gaussian").radius == pytest.approx(
        1e30 * enclosing(vectors(50), 0.9, "gaussian").radius, rel=1e-5
    )


def test_clipping_equals_the_formula_row_by_row():
    given = vectors(offset=100.0)
    ball = enclosing(given, 0.5, "gaussian")
    clipped = ball.clip(given)

    for row, found in zip(given.astype(np.float64), clipped, strict=True):
        away = row - ball.center
        length = np.linalg.norm(away)
        expected = ball.center + away * min(1, ball.radius / length)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (clipped == given).all(axis=1).sum() == 200


@given(
    scale=st.floats(1e-3, 1e30),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
    radius=st.floats(1e-2, 1e2),
    seed=st.integers(0, 20),
)
@settings(deadline=None)
def test_clipping_brings_no_two_vectors_farther_apart(scale, offset, radius, seed):
    given = vectors(12, 3, seed=seed) * np.float32(scale) + np.float32(offset)
    ball = Ball(np.full(3, offset, np.float32), radius)
    clipped = ball.clip(given)

    exact, found = given.astype(np.float64), clipped.astype(np.float64)
    rounding = 1e-6 * (radius + offset)
    assert (np.linalg.norm(found - offset, axis=1) <= radius * (1 + 1e-6) + rounding).all()
    assert (pdist(found) <= pdist(exact) * (1 + 1e-6) + rounding).all()


def test_what_has_no_radius_is_refused():
    with pytest.raises(ValueError, match=r"^sticky: radius R, .* found 0, allowed: above 0$"):
        enclosing(np.ones((9, 2), np.float32), 0.95, "sticky")
    with pytest.raises(ValueError, match=r"^sticky: found 0 train vectors, allowed: at least 1$"):
        enclosing(np.ones((0, 2), np.float32), 0.95, "sticky")
    for wrong in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"^laplace: quantile: found .*allowed: above 0"):
            check_quantile(wrong, "laplace")
