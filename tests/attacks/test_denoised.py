"""Shrinkage of noise that the attacker has to estimate."""

from dataclasses import replace

import numpy as np
import pytest

from attacks.base import Attack
from attacks.cosine import Cosine
from attacks.defenses.gaussian import Gaussian
from attacks.denoised import Denoised, noise_level
from attacks.euclidean import Euclidean
from attacks.gallery import Gallery, Released
from attacks.ranks.exact import exact_ranks
from attacks.whitened import Whitened
from tests.planted import World, attacked, constant, lift, noise, positions, top1, world

FEW = np.where(np.arange(64) < 8, 2.0, 0.0)
"""Identity on 8 of 64 axes."""


def named(attack: Attack, planted: World) -> float:
    return top1(attacked(attack, planted))


@pytest.mark.parametrize("events", [1, 4])
def test_noise_beside_few_axes_of_identity_is_shrunk_away(events):
    planted = world(positions(1000, 64, scale=FEW), 1.0, events=events, probes=2)
    naive = max(named(attack, planted) for attack in (Cosine(), Euclidean(), Whitened()))
    few = exact_ranks(planted.probe[:, :8], planted.gallery[:, :8], planted.true_row)

    assert named(Denoised(), planted) > 1.3 * naive
    assert named(Denoised(), planted) > 0.9 * top1(few)


def test_the_gaussian_defense_is_overcome_without_knowing_its_noise():
    planted = world(positions(1000, 64, scale=FEW), 0.02, events=1, probes=2)
    both = Released(
        np.concatenate([planted.vectors, planted.probe]),
        np.concatenate([planted.user_row, planted.true_row]),
    )
    defense = Gaussian(sigma_per_radius=0.1, quantile=1.0)
    defense.fit(both, np.random.default_rng(0))
    released = defense.apply(both, np.random.default_rng(1))
    vectors, probe = np.split(released, [len(planted.vectors)])
    defended = replace(planted, vectors=vectors, probe=probe)

    attack = Denoised()
    assert named(attack, defended) > 1.3 * named(Cosine(), defended)
    assert attack.noise == pytest.approx(defense.sigma**2, rel=0.05)


@pytest.mark.parametrize(("num_users", "dim"), [(1000, 64), (300, 300), (100, 400)])
def test_the_level_of_noise_alone_is_found(num_users, dim):
    x = 3 * np.random.default_rng(0).standard_normal((num_users, dim))
    x -= x.mean(axis=0)

    assert noise_level(np.linalg.eigvalsh(x.T @ x / num_users), num_users) == pytest.approx(
        9, rel=0.05
    )


def test_shrinkage_is_the_posterior_mean():
    planted = world(positions(2000, 4, scale=[2.0, 1.0, 0.5, 0.25]), 0.5, events=4)
    attack = Denoised()
    attack.fit(planted.held, np.random.default_rng(0))
    found = attack.embed(planted.probe) @ attack.axes.T + attack.center

    spread = np.array([4.0, 1.0, 0.25, 0.0625])
    np.testing.assert_allclose(found, planted.probe * spread / (spread + 0.25), atol=0.15)


def test_without_noise_it_is_the_angle_about_the_mean():
    planted = world(positions(), 0.0)
    moved = replace(planted, probe=planted.probe + np.float32(0.1))
    center = planted.gallery.mean(axis=0)
    expected = exact_ranks(moved.probe - center, planted.gallery - center, moved.true_row)

    np.testing.assert_array_equal(attacked(Denoised(), moved).greater, expected.greater)


def test_from_chance_to_identical_users():
    assert 0.4 < lift(Denoised(), noise()) < 1.6
    assert named(Denoised(), constant()) == pytest.approx(0.01)


def test_a_gallery_of_one_user_is_refused():
    one = Gallery(np.ones((3, 2), np.float32), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="must hold 2 users or more, got 1"):
        Denoised().fit(one, np.random.default_rng())
