"""Clipping and multivariate Laplace noise."""

import numpy as np
import pytest
from scipy.stats import gamma, kstest

from attacks.cosine import Cosine
from attacks.defenses.laplace import Laplace
from attacks.gallery import Released
from tests.defended import defended
from tests.planted import lift, positions, world


def drawn(d=5, n=20_000, epsilon=3.0):
    given = Released(np.random.default_rng(0).normal(size=(n, d)).astype(np.float32), np.arange(n))
    defense = Laplace(epsilon_per_radius=epsilon)
    defense.fit(given, np.random.default_rng(0))
    released = defense.apply(given, np.random.default_rng(1))
    return defense, released.astype(np.float64) - defense.ball.clip(given.vectors)


def test_the_length_of_the_noise_is_gamma_and_its_direction_uniform():
    defense, noise = drawn()
    length = np.linalg.norm(noise, axis=1)
    direction = noise / length[:, None]

    assert kstest(length, gamma(5, scale=defense.ball.radius / 3).cdf).pvalue > 0.001
    # Coordinates of a uniform direction: (1 + u) / 2 is Beta((d - 1) / 2, (d - 1) / 2).
    for axis in direction.T:
        assert kstest((1 + axis) / 2, "beta", args=(2, 2)).pvalue > 0.001
    assert abs(np.corrcoef(length, direction[:, 0])[0, 1]) < 0.03


def test_the_covariance_is_the_one_that_is_stated():
    defense, noise = drawn()

    np.testing.assert_allclose(np.cov(noise.T), defense.noise(), atol=0.05 * noise.var())


def test_one_axis_is_the_laplace_distribution():
    defense, noise = drawn(d=1)

    scale = defense.ball.radius / 3
    assert kstest(noise[:, 0], "laplace", args=(0, scale)).pvalue > 0.001
    assert defense.noise()[0, 0] == pytest.approx(2 * scale**2)


def test_from_no_protection_to_chance():
    planted = world(positions(), 0.1)

    assert lift(Cosine(), defended(Laplace(epsilon_per_radius=1e5), planted)) > 290
    assert 0.3 < lift(Cosine(), defended(Laplace(epsilon_per_radius=1e-2), planted)) < 2.3


def test_the_certificate_bounds_the_density_of_any_release_under_any_vector_over_the_centers():
    defense, noise = drawn()
    stated = defense.certificate()
    released = defense.ball.center + noise
    border = defense.ball.center + stated.radius * np.eye(5)[0]
    # Densities of the same release under a vector at the border and under the center.
    log_ratio = (
        np.linalg.norm(released - defense.ball.center, axis=1)
        - np.linalg.norm(released - border, axis=1)
    ) / defense.scale

    assert np.abs(log_ratio).max() <= stated.epsilon * stated.radius + 1e-6
    assert stated.epsilon * stated.radius == pytest.approx(3)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("inf"), float("nan")])
def test_an_epsilon_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^laplace: epsilon_per_radius: found .*above 0$"):
        Laplace(epsilon_per_radius=wrong)
