"""Noise once per user and window."""

from dataclasses import replace

import numpy as np

from attacks.cosine import Cosine
from attacks.defenses.gaussian import Gaussian
from attacks.defenses.sticky import Sticky
from tests.defended import defended
from tests.planted import lift, positions, world
from tests.train_windows import train_window


def fitted(given):
    defense = Sticky(sigma_per_radius=0.5)
    defense.fit(given, np.random.default_rng(0))
    return defense


def noise_of(given):
    defense = fitted(train_window(6))
    return defense.apply(given, np.random.default_rng(1)) - defense.ball.clip(given.vectors)


def test_the_vectors_of_a_user_and_window_share_their_noise_and_no_others():
    given = train_window(6)
    given = replace(given, window=np.array(["a", "b", "c"])[given.order % 3])
    noise = noise_of(given)

    pairs = [*zip(given.user_row, given.window, strict=True)]
    for row, pair in enumerate(pairs):
        same = np.array([other == pair for other in pairs])
        np.testing.assert_allclose(noise[same], np.tile(noise[row], (2, 1)), atol=1e-5)
        assert (np.abs(noise[~same] - noise[row]).max(axis=1) > 1e-3).all()


def test_without_windows_all_of_a_users_vectors_share_their_noise():
    noise = noise_of(replace(train_window(6), window=None))

    np.testing.assert_allclose(noise.reshape(20, 6, 6), noise[::6, None].repeat(6, 1), atol=1e-5)


def test_the_order_of_the_rows_does_not_matter():
    given = train_window(6)
    order = np.random.default_rng(4).permutation(120)
    mixed = replace(
        given,
        vectors=given.vectors[order],
        user_row=given.user_row[order],
        window=given.window[order],
    )
    one, other = (fitted(given).apply(w, np.random.default_rng(1)) for w in (given, mixed))

    np.testing.assert_array_equal(one[order], other)


def test_the_covariance_over_users_is_the_one_that_is_stated():
    given = train_window(4, num_users=20_000, events=1)
    defense = fitted(given)
    noise = defense.apply(given, np.random.default_rng(1)) - defense.ball.clip(given.vectors)

    np.testing.assert_allclose(np.cov(noise.T), defense.noise(), atol=0.04 * defense.noise().max())


def test_averaging_releases_helps_against_fresh_noise_alone():
    given = train_window(6)
    sticky, gaussian = fitted(given), Gaussian(sigma_per_radius=0.5)
    gaussian.fit(given, np.random.default_rng(0))
    clipped = sticky.ball.clip(given.vectors)
    spread = {
        (defense, m): (defense.observed(given, m, np.random.default_rng(1)) - clipped).std()
        for defense in (sticky, gaussian)
        for m in (1, 100)
    }

    assert spread[sticky, 100] == spread[sticky, 1]
    assert spread[gaussian, 100] < spread[gaussian, 1] / 9
    np.testing.assert_array_equal(sticky.noise(100), gaussian.noise())
    assert sticky.certificate() is None


def test_from_no_protection_to_chance():
    planted = world(positions(), 0.1)

    assert lift(Cosine(), defended(Sticky(sigma_per_radius=1e-3), planted)) > 290
    # Four probes of a user are one guess: the lift of 300 guesses is Poisson with mean 1.
    assert lift(Cosine(), defended(Sticky(sigma_per_radius=1e3), planted)) < 5
