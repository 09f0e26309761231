"""Noise that is larger where the task does not read."""

import numpy as np
import pytest

from attacks.cosine import Cosine
from attacks.defenses.elliptical import Elliptical
from attacks.defenses.gaussian import Gaussian
from tests.defended import defended
from tests.planted import lift, positions, world
from tests.train_windows import train_window


def fitted(given, kind=Elliptical, **strength):
    defense = kind(**strength)
    defense.fit(given, np.random.default_rng(0))
    return defense


def drawn(defense, given, seed=1):
    return defense.apply(given, np.random.default_rng(seed)) - defense.ball.clip(given.vectors)


def test_the_covariance_is_the_one_that_is_stated_and_its_trace_that_of_gaussian():
    given = train_window(5, num_users=20_000, events=1)
    defense, gaussian = (fitted(given, kind) for kind in (Elliptical, Gaussian))
    noise = drawn(defense, given)

    np.testing.assert_allclose(np.cov(noise.T), defense.noise(), atol=0.04 * defense.noise().max())
    assert np.trace(defense.noise()) == pytest.approx(np.trace(gaussian.noise()))


def test_each_direction_has_the_noise_of_its_side():
    given = train_window(5, num_users=20_000, events=1)
    defense = fitted(given, ratio=3.0)
    within = drawn(defense, given) @ defense.task
    outside = drawn(defense, given) - within @ defense.task.T

    assert defense.task.shape == (5, 2)
    assert within.std() == pytest.approx(defense.sigma_of_task, rel=0.02)
    # Three of five axes vary.
    assert (outside**2).sum(axis=1).mean() == pytest.approx(3 * 9 * within.var(), rel=0.03)


def test_a_ratio_of_one_is_gaussian():
    given = train_window(5)
    one, other = fitted(given, ratio=1.0), fitted(given, Gaussian)

    np.testing.assert_allclose(drawn(one, given), drawn(other, given), atol=1e-5)
    np.testing.assert_allclose(one.noise(), other.noise(), atol=1e-12)
    assert one.certificate().sigma == pytest.approx(other.certificate().sigma)


@pytest.mark.parametrize("ratio", [0.25, 4.0])
@pytest.mark.parametrize("dimensions", [2, 6])
def test_the_certificate_counts_on_the_smallest_noise(ratio, dimensions):
    defense = fitted(train_window(dimensions), ratio=ratio)
    smallest = np.linalg.eigvalsh(defense.noise()).min() ** 0.5

    assert defense.certificate().sigma == pytest.approx(smallest)


def test_the_task_keeps_more_and_identity_as_little_as_with_gaussian_noise():
    planted = world(positions(dim=16), 0.1)
    labels = planted.vectors[:, :1] > 0
    errors, lifts = {}, {}
    for kind in (Elliptical, Gaussian):
        shown = defended(kind(sigma_per_radius=0.3), planted, labels=labels)
        errors[kind] = np.mean((shown.vectors[:, :1] > 0) != labels)
        lifts[kind] = lift(Cosine(), shown)

    assert errors[Elliptical] < 0.6 * errors[Gaussian]
    assert lifts[Elliptical] < 1.5 * lifts[Gaussian]


def test_from_no_protection_to_chance():
    planted = world(positions(), 0.1)
    labels = planted.vectors[:, :1] > 0

    weak, strong = (
        lift(Cosine(), defended(Elliptical(sigma_per_radius=sigma), planted, labels=labels))
        for sigma in (1e-3, 1e3)
    )
    assert weak > 290
    assert 0.3 < strong < 2.3


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("inf"), float("nan")])
def test_a_ratio_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^elliptical: ratio: found .*allowed: above 0$"):
        Elliptical(ratio=wrong)
