"""A map learned by contrast."""

import numpy as np
import pytest
import torch

from attacks.cosine import Cosine
from attacks.gallery import Gallery
from attacks.learned_metric import LearnedMetric
from attacks.whitened import Whitened
from tests.planted import (
    attacked,
    constant,
    identifiers,
    lift,
    noise,
    nuisance,
    positions,
    top1,
    world,
)


def learned(planted, seed=0, **parameters):
    attack = LearnedMetric(**{"steps": 60, **parameters})
    attack.fit(planted.held, np.random.default_rng(seed))
    return attack.transform


def test_directions_that_scatter_for_everybody_are_unlearned():
    planted = world(positions(), nuisance())

    found = lift(LearnedMetric(steps=100), planted)

    assert found > 0.9 * 300
    assert found > 5 * lift(Cosine(), planted)
    assert found > 1.2 * lift(Whitened(), planted)


def test_steps_improve_on_the_whitening_it_starts_from():
    telling = np.where(np.arange(32) < 8, 1.0, 0.0)
    planted = world(positions(dim=32, scale=telling), 0.5)

    assert lift(LearnedMetric(steps=100), planted) > 2 * lift(LearnedMetric(steps=1), planted)


def test_a_seed_decides_every_bit_whatever_the_threads():
    planted = world(positions(), nuisance())
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = learned(planted)
        torch.set_num_threads(2)
        same = learned(planted)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)

    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, learned(planted, seed=1))


def test_the_global_random_state_is_left_alone():
    planted = world(positions(40), 1.0)
    before = torch.get_rng_state()

    learned(planted)

    assert torch.equal(torch.get_rng_state(), before)


def test_the_numbering_of_users_does_not_matter():
    planted = world(positions(100), 1.0)
    other = planted.renumbered(np.random.default_rng(3).permutation(100))

    np.testing.assert_array_equal(
        *(attacked(LearnedMetric(steps=60), w).greater for w in (planted, other))
    )


def test_users_with_one_event_do_not_train_but_are_named():
    planted = world(positions(100), 0.1, events=2)
    kept = (planted.user_row >= 50) | (np.arange(200) % 2 == 0)
    planted = type(planted)(
        planted.vectors[kept], planted.user_row[kept], planted.probe, planted.true_row
    )

    assert lift(LearnedMetric(steps=60), planted) > 95


def test_from_chance_to_certainty():
    assert 0.4 < lift(LearnedMetric(steps=60), noise()) < 1.6
    assert lift(LearnedMetric(steps=60), identifiers()) == 100
    assert top1(attacked(LearnedMetric(steps=60), constant())) == pytest.approx(0.01)


def test_parameters_and_galleries_that_cannot_be_used_are_refused():
    for name, value in (("steps", 0), ("users_per_step", 1), ("temperature", 0.0)):
        with pytest.raises(ValueError, match=f"learned_metric: {name} must be .*, got {value}"):
            LearnedMetric(**{name: value})
    with pytest.raises(ValueError, match="2 vectors or more, got 1"):
        LearnedMetric().fit(
            Gallery(np.eye(3, dtype=np.float32), np.array([0, 0, 1])), np.random.default_rng()
        )
