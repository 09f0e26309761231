"""A poor attacker is told from a good defense."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ortho_group

from attacks.aligned import Aligned
from attacks.base import Attack
from attacks.bayes import Bayes
from attacks.cosine import Cosine
from attacks.euclidean import Euclidean
from attacks.measures.weakness import Release, Weakness, weakness
from tests.planted import World, positions, world

SPREAD = np.arange(1, 17) ** -0.5


def judged(attack: Attack, plain: World, defended: World, noise=None) -> Weakness:
    attack.fit(replace(defended.held, noise=noise), np.random.default_rng(0))
    ranks = attack.ranks(defended.probe, defended.gallery, defended.true_row)
    return weakness(
        ranks,
        plain.true_row,
        Release(plain.gallery, plain.probe),
        Release(defended.gallery, defended.probe),
    )


def noisy(plain: World, sigma, seed=0) -> World:
    rng = np.random.default_rng(seed)
    vectors, probe = (
        (v + sigma * rng.standard_normal(v.shape)).astype(np.float32)
        for v in (plain.vectors, plain.probe)
    )
    return replace(plain, vectors=vectors, probe=probe)


def test_an_attacker_who_does_not_see_through_a_rotation_is_weak():
    plain = world(positions(600, scale=SPREAD), 0.2)
    turn = ortho_group.rvs(16, random_state=0)
    turned = replace(plain, probe=(plain.probe @ turn).astype(np.float32))

    found = judged(Cosine(), plain, turned)
    assert found.attacker_weak
    assert found.top1 < 0.05 < 0.8 < found.reference
    assert not judged(Aligned(), plain, turned).attacker_weak


def test_an_attacker_who_ignores_the_shape_of_the_noise_is_weak():
    plain = world(positions(600), 0.1)
    sigma = np.where(np.arange(16) < 6, 6.0, 0.3)
    defended = noisy(plain, sigma)

    assert judged(Euclidean(), plain, defended).attacker_weak
    assert not judged(Bayes(), plain, defended, np.diag(sigma**2)).attacker_weak


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0, 2.0])
def test_the_bayes_attacker_is_not_weak_against_noise(sigma):
    plain = world(positions(600), 0.1)

    found = judged(Bayes(), plain, noisy(plain, sigma), sigma**2 * np.eye(16))
    assert not found.attacker_weak


def test_where_nothing_is_left_chance_is_all_one_can_expect():
    plain = world(positions(600), 0.1)

    found = judged(Cosine(), plain, noisy(plain, 1e3))
    assert not found.attacker_weak
    assert found.num_axes == 0
    assert found.reference == pytest.approx(1 / 300)


def test_information_is_that_of_the_closed_form_and_turns_with_no_rotation():
    plain = world(positions(4000, 4, scale=[2.0, 1.0, 1.0, 0.5]), 1.0, events=4)
    spread = np.array([4.0, 1.0, 1.0, 0.25])
    squared = spread**2 / ((spread + 1) * (spread + 1 / 4))
    bits = -np.log2(1 - squared).sum() / 2
    turn = ortho_group.rvs(4, random_state=0)
    turned = replace(plain, probe=(plain.probe @ turn).astype(np.float32))

    assert judged(Cosine(), plain, plain).bits == pytest.approx(bits, rel=0.05)
    assert judged(Cosine(), plain, turned).bits == pytest.approx(bits, rel=0.05)


def test_the_same_vectors_hold_as_much_as_themselves():
    plain = world(positions(600), 0.5)
    found = judged(Euclidean(), plain, plain)

    assert found.num_axes == 16
    assert not found.attacker_weak
    assert found.top1 == pytest.approx(found.reference, abs=0.05)


def test_too_few_users_and_unknown_ones_are_refused():
    plain = world(positions(7), 0.1)
    with pytest.raises(ValueError, match="needs 8 users or more and probes of theirs alone, got 7"):
        judged(Cosine(), plain, plain)
