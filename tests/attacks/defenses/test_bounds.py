"""The bound of each defense that certifies itself, against the best attacker there is."""

import numpy as np
import pytest

from attacks.certify import bound
from attacks.defenses.elliptical import Elliptical
from attacks.defenses.gaussian import Gaussian
from attacks.defenses.laplace import Laplace
from attacks.defenses.smoothed import Smoothed
from attacks.gallery import Released

DIMENSIONS, USERS, DRAWS = 8, 50, 400


def on_a_sphere(radius=1.0):
    """One vector of each user, all equally far from their mean, so that none is clipped."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(USERS // 2, DIMENSIONS))
    half *= radius / np.linalg.norm(half, axis=1, keepdims=True)
    vectors = np.vstack([half, -half]).astype(np.float32)
    return Released(vectors, np.arange(USERS), labels=vectors[:, :1] > 0)


@pytest.mark.parametrize("num_releases", [1, 4])
@pytest.mark.parametrize(
    "defense",
    [
        Gaussian(sigma_per_radius=0.7, quantile=1.0),
        Gaussian(sigma_per_radius=4.0, quantile=1.0),
        Elliptical(sigma_per_radius=2.0, ratio=3.0, quantile=1.0),
        Smoothed(sigma_per_radius=3.0, draws=4, quantile=1.0),
    ],
)
def test_the_likeliest_user_is_right_no_more_often_than_the_bound(defense, num_releases):
    """The attacker knows all vectors and the noise, so that nobody does better."""
    given = on_a_sphere()
    defense.fit(given, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    whiten = np.linalg.cholesky(np.linalg.inv(defense.noise(num_releases)))
    known = given.vectors @ whiten
    hits = 0
    for _ in range(DRAWS):
        seen = defense.observed(given, num_releases, rng) @ whiten
        distance = ((seen[:, None] - known) ** 2).sum(axis=2)
        hits += np.count_nonzero(distance.argmin(axis=1) == np.arange(USERS))

    rate, most = hits / (DRAWS * USERS), bound(defense.certificate(), USERS, 1, num_releases)
    assert 1.3 / USERS < rate <= most
    # The bound is close where noise is alike in all directions: no factor is given away.
    assert most < 2.5 * rate or isinstance(defense, Elliptical)


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 6.0])
def test_the_likeliest_user_under_laplace_noise_is_within_its_bound(epsilon):
    given = on_a_sphere()
    defense = Laplace(epsilon_per_radius=epsilon, quantile=1.0)
    defense.fit(given, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(DRAWS):
        seen = defense.apply(given, rng)
        distance = ((seen[:, None] - given.vectors) ** 2).sum(axis=2)
        hits += np.count_nonzero(distance.argmin(axis=1) == np.arange(USERS))

    assert 1.05 / USERS < hits / (DRAWS * USERS) <= bound(defense.certificate(), USERS)
