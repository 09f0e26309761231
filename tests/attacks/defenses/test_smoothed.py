"""Randomized smoothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from attacks.cosine import Cosine
from attacks.defenses.smoothed import Smoothed, certified_radius
from tests.defended import defended
from tests.planted import lift, positions, world
from tests.train_windows import train_window


def fitted(window, **strength):
    defense = Smoothed(**strength)
    defense.fit(window, np.random.default_rng(0))
    return defense


def test_a_release_is_distributed_as_the_mean_of_its_draws():
    window = train_window(4, num_users=5_000, events=1)
    many = fitted(window, sigma_per_radius=0.5, draws=16)
    one = fitted(window, sigma_per_radius=0.5, draws=1)
    clipped = many.ball.clip(window.vectors)
    rng = np.random.default_rng(1)
    mean = np.mean([one.apply(window, rng) for _ in range(16)], axis=0) - clipped
    released = many.apply(window, rng) - clipped

    np.testing.assert_allclose(np.cov(released.T), np.cov(mean.T), atol=0.08 * mean.var())
    np.testing.assert_allclose(many.noise(), one.noise() / 16)
    assert many.certificate().sigma == pytest.approx(one.certificate().sigma / 4)


@given(
    draws=st.integers(1, 500),
    share=st.floats(0, 1),
    sigma=st.floats(0.01, 10),
    confidence=st.sampled_from([0.9, 0.999]),
)
@settings(deadline=None)
def test_the_radius_is_cohens_formula_with_scipys_one_sided_bound(draws, share, sigma, confidence):
    agreeing = round(share * draws)
    test = binomtest(agreeing, draws, alternative="greater")
    least = test.proportion_ci(confidence, method="exact").low
    (found,) = certified_radius(np.array([agreeing]), draws, sigma, confidence)

    assert found == pytest.approx(sigma * norm.ppf(least) if least > 0.5 else 0, abs=1e-9)


def test_no_certified_radius_reaches_beyond_the_true_border_of_a_linear_decision():
    window = train_window(6)
    defense = fitted(window, sigma_per_radius=0.3, draws=400)
    weight = np.array([1.0, -1, 0.5, 0, 0, 2], np.float32)
    decided, radius = defense.certified(
        window,
        lambda vectors: vectors @ weight > 0.7,
        np.random.default_rng(1),
        confidence=1 - 1e-6,
    )

    # The majority under noise flips exactly where the noise-free decision does.
    margin = (defense.ball.clip(window.vectors) @ weight - 0.7) / np.linalg.norm(weight)
    sure = radius > 0
    np.testing.assert_array_equal(decided[sure], margin[sure] > 0)
    assert (radius <= np.abs(margin)).all()
    clear = np.abs(margin) > defense.sigma_of_draw
    assert (radius[clear] > 0.5 * defense.sigma_of_draw).all()


def test_from_no_protection_to_chance_and_more_draws_protect_less():
    planted = world(positions(), 0.1)
    few, many = (
        lift(Cosine(), defended(Smoothed(sigma_per_radius=0.5, draws=n), planted)) for n in (1, 400)
    )

    assert lift(Cosine(), defended(Smoothed(sigma_per_radius=1e-3), planted)) > 290
    assert many > 2 * few
    assert 0.3 < lift(Cosine(), defended(Smoothed(sigma_per_radius=1e4), planted)) < 2.3


def test_a_number_of_draws_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"^smoothed: draws: found 0, allowed: at least 1$"):
        Smoothed(draws=0)
