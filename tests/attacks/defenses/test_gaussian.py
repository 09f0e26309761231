"""Clipping and Gaussian noise."""

import numpy as np
import pytest
from scipy.stats import kstest

from attacks.cosine import Cosine
from attacks.defenses.base import Defense
from attacks.defenses.gaussian import Gaussian
from attacks.gallery import Released
from tests.defended import defended
from tests.planted import lift, positions, world


def fitted(given, **strength):
    defense = Gaussian(**strength)
    defense.fit(given, np.random.default_rng(0))
    return defense


def window(n=20_000, d=4, seed=0):
    vectors = np.random.default_rng(seed).normal(3, [1, 2, 3, 4], (n, d)).astype(np.float32)
    return Released(vectors, np.arange(n) // 4)


def test_the_noise_is_normal_with_the_covariance_that_is_stated():
    given = window()
    defense = fitted(given, sigma_per_radius=0.3, quantile=0.9)
    noise = defense.apply(given, np.random.default_rng(1)) - defense.ball.clip(given.vectors)

    assert kstest(noise.ravel() / (0.3 * defense.ball.radius), "norm").pvalue > 0.001
    # The standard error of a variance from 20,000 draws is 1 %, of a correlation 0.7 %.
    np.testing.assert_allclose(np.cov(noise.T), defense.noise(), atol=0.04 * defense.noise().max())


def test_the_mean_of_releases_is_drawn_as_averaging_them_would():
    given = window()
    defense = fitted(given, sigma_per_radius=0.3)
    clipped = defense.ball.clip(given.vectors)
    one = defense.observed(given, 5, np.random.default_rng(1)) - clipped
    other = Defense.observed(defense, given, 5, np.random.default_rng(2)) - clipped

    np.testing.assert_allclose(np.cov(one.T), np.cov(other.T), atol=0.05 * one.var())
    np.testing.assert_allclose(np.cov(one.T), defense.noise(5), atol=0.05 * one.var())
    count = np.where(given.user_row % 2, 5, 1)
    mixed = defense.observed(given, count, np.random.default_rng(3)) - clipped
    for m in (1, 5):
        assert mixed[count == m].std() == pytest.approx(defense.sigma / m**0.5, rel=0.02)


def test_the_certificate_states_radius_and_sigma_of_what_is_released():
    given = window()
    defense = fitted(given, sigma_per_radius=0.3, quantile=0.9)
    stated = defense.certificate()
    distance = np.linalg.norm(defense.ball.clip(given.vectors) - defense.ball.center, axis=1)

    assert distance.max() == pytest.approx(stated.radius, rel=1e-6)
    assert (distance > 0.999 * stated.radius).mean() == pytest.approx(0.1, abs=0.001)
    assert stated.sigma == pytest.approx(0.3 * stated.radius)
    assert fitted(given, sigma_per_radius=0).certificate() is None


def test_without_noise_only_what_is_outside_changes():
    given = window(400)
    defense = fitted(given, sigma_per_radius=0, quantile=1.0)

    np.testing.assert_array_equal(defense.apply(given, np.random.default_rng(0)), given.vectors)


def test_from_no_protection_to_chance():
    planted = world(positions(), 0.1)

    assert lift(Cosine(), defended(Gaussian(sigma_per_radius=1e-3), planted)) > 290
    assert 0.3 < lift(Cosine(), defended(Gaussian(sigma_per_radius=1e3), planted)) < 2.3


def test_the_scale_of_the_vectors_does_not_matter():
    given = window(400)
    longer = Released(given.vectors * np.float32(1024), given.user_row)
    one, other = (
        fitted(w, sigma_per_radius=0.5).apply(w, np.random.default_rng(0)) for w in (given, longer)
    )

    np.testing.assert_allclose(other, 1024 * one, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("wrong", [-0.1, float("inf"), float("nan")])
def test_a_strength_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^gaussian: sigma_per_radius: found .* at least 0$"):
        Gaussian(sigma_per_radius=wrong)
