"""The posterior under known noise, against true parameters, SciPy's densities and real defenses."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from attacks.base import Attack
from attacks.bayes import Bayes
from attacks.classifier import Classifier, weights
from attacks.cosine import Cosine
from attacks.defenses.elliptical import Elliptical
from attacks.defenses.gaussian import Gaussian
from attacks.defenses.quantized import Quantized
from attacks.defenses.sticky import Sticky
from attacks.euclidean import Euclidean
from attacks.gallery import Gallery, Released
from attacks.ranks.exact import exact_ranks
from attacks.whitened import Whitened
from tests.planted import World, constant, positions, top1, world

SPREAD = 1 / np.sqrt(np.arange(1, 33))
"""Standard deviation of users on each axis: few axes tell much, many a little."""


def ranks(attack: Attack, planted: World, noise):
    attack.fit(replace(planted.held, noise=noise), np.random.default_rng(0))
    return attack.ranks(planted.probe, planted.gallery, planted.true_row)


def named(attack: Attack, planted: World, noise=None) -> float:
    return top1(ranks(attack, planted, noise))


def defended(defense, planted: World, labels=None) -> tuple[World, np.ndarray]:
    """Release gallery and probes as two windows, and say what noise they carry."""
    vectors = np.concatenate([planted.vectors, planted.probe])
    both = Released(
        vectors,
        np.concatenate([planted.user_row, planted.true_row]),
        window=np.repeat(["train", "test"], [len(planted.vectors), len(planted.probe)]),
        labels=labels,
    )
    defense.fit(both, np.random.default_rng(1))
    released = defense.apply(both, np.random.default_rng(2))
    held, probe = np.split(released, [len(planted.vectors)])
    return replace(planted, vectors=held, probe=probe), defense.noise()


def optimum(planted: World, spread, noise, events: int) -> float:
    """Nearest expected position in units of its uncertainty, by the true variances."""
    known = spread**2 / (spread**2 + noise / events)
    left = spread**2 * (1 - known) + noise
    found = exact_ranks(
        planted.probe / np.sqrt(left),
        planted.gallery * known / np.sqrt(left),
        planted.true_row,
        metric="euclidean",
    )
    return top1(found)


@pytest.mark.parametrize("events", [1, 4])
@pytest.mark.parametrize("noise", [0.25, np.where(np.arange(32) < 8, 9.0, 0.1)])
def test_it_names_as_many_as_the_true_parameters_would(events, noise):
    noise = np.broadcast_to(noise, 32)
    planted = world(
        positions(1000, 32, scale=SPREAD), np.sqrt(noise), events=events, probes=2, seed=events
    )

    best = optimum(planted, SPREAD, noise, events)
    assert 0.05 < best < 0.95
    assert named(Bayes(), planted, np.diag(noise)) > best - 0.03


def test_one_vector_of_each_user_is_enough_to_see_through_noise_of_a_shape():
    noise = np.where(np.arange(32) < 8, 25.0, 1.0)
    planted = world(positions(1000, 32), np.sqrt(noise), events=1, probes=2)

    found = named(Bayes(), planted, np.diag(noise))
    assert found > 2 * named(Whitened(), planted)
    assert found > 10 * max(named(attack, planted) for attack in (Cosine(), Euclidean()))


def test_the_gaussian_defense_is_overcome_better_than_by_naive_attackers():
    planted = world(positions(1000, 64, scale=np.arange(1, 65) ** -0.5), 0.02, events=2, probes=2)
    planted, noise = defended(Gaussian(sigma_per_radius=0.1, quantile=1.0), planted)

    naive = max(named(attack, planted) for attack in (Cosine(), Euclidean(), Whitened()))
    assert 0.02 < naive < 0.5
    assert named(Bayes(), planted, noise) > 1.05 * naive


def test_noise_of_a_shape_is_overcome_much_better():
    planted = world(positions(600, 16), 0.02, events=2, probes=2)
    labels = np.concatenate([planted.vectors, planted.probe])[:, :1] > 0
    planted, noise = defended(Elliptical(sigma_per_radius=0.25), planted, labels)

    naive = max(named(attack, planted) for attack in (Cosine(), Euclidean(), Whitened()))
    assert 0.01 < naive < 0.9
    assert named(Bayes(), planted, noise) > 1.05 * naive


def test_noise_that_a_users_vectors_share_is_not_taken_to_average():
    planted = world(positions(1000, 32, scale=SPREAD), 0.05, events=6, probes=2)
    planted, noise = defended(Sticky(sigma_per_radius=0.15, quantile=1.0), planted)

    found = named(Bayes(), planted, noise)
    assert found > 1.1 * named(Classifier(), planted)
    assert found > 1.05 * max(named(attack, planted) for attack in (Cosine(), Euclidean()))


def test_rounding_to_few_levels_is_noise_of_a_twelfth_of_a_squared_step():
    planted = world(positions(1000, 32, scale=SPREAD), 0.2, events=4, probes=2)
    planted, noise = defended(Quantized(bits=2), planted)

    # A step is twice the standard deviation of the widest axis, and ten times that of the last.
    assert noise[0, 0] * 12 > 1.8**2
    naive = max(named(attack, planted) for attack in (Cosine(), Euclidean(), Whitened()))
    assert naive < 0.76
    assert named(Bayes(), planted, noise) > naive + 0.05


def test_weights_are_log_likelihood_ratios_by_scipy():
    rng = np.random.default_rng(0)
    mean, between = rng.standard_normal((5, 3)), np.array([2.0, 0.5, 0.0])
    error = rng.uniform(0.1, 1, (5, 3))
    probe = rng.standard_normal((7, 3))

    found = np.hstack([probe, probe**2, np.ones((7, 1))]) @ weights(mean, between, error).T

    for user in range(5):
        known = between / (between + error[user])
        seen = multivariate_normal(
            mean[user] * known, np.diag(between * (1 - known) + 1), allow_singular=True
        )
        expected = seen.logpdf(probe) - multivariate_normal(
            np.zeros(3), np.diag(between + 1)
        ).logpdf(probe)
        np.testing.assert_allclose(found[:, user], expected, rtol=1e-5, atol=1e-5)


def test_users_of_unequal_activity_are_weighed_by_what_is_known_of_them():
    rng = np.random.default_rng(0)
    at = positions(600, 32)
    user_row = np.repeat(np.arange(600), rng.choice([1, 16], 600))
    vectors = (at[user_row] + rng.standard_normal((len(user_row), 32))).astype(np.float32)
    planted = replace(world(at, 1.0, probes=2), vectors=vectors, user_row=user_row)

    found = named(Bayes(), planted, np.eye(32))
    assert found > named(Euclidean(), planted) + 0.03
    assert found > named(Cosine(), planted)


def test_without_noise_it_is_the_classifier():
    planted = world(positions(), 0.8)

    assert named(Bayes(), planted, np.zeros((16, 16))) == pytest.approx(
        named(Classifier(), planted), abs=0.01
    )


def test_the_numbering_of_users_does_not_matter():
    planted = world(positions(), 0.8)
    other = planted.renumbered(np.random.default_rng(3).permutation(300))
    noise = 0.64 * np.eye(16)

    np.testing.assert_array_equal(*(ranks(Bayes(), w, noise).greater for w in (planted, other)))


def test_identical_users_are_named_by_chance():
    for noise in (np.zeros((16, 16)), np.eye(16)):
        assert named(Bayes(), constant(), noise) == pytest.approx(0.01)


def test_galleries_that_cannot_be_used_are_refused():
    with pytest.raises(ValueError, match="needs the covariance of the defense's noise, got none"):
        named(Bayes(), world(positions(), 1.0))
    one = Gallery(np.ones((3, 2), np.float32), np.zeros(3, np.int64), noise=np.eye(2))
    with pytest.raises(ValueError, match="must hold 2 users or more, got 1"):
        Bayes().fit(one, np.random.default_rng())
