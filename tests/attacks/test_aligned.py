"""Undoing secret rotations without known pairs, on planted clouds and through the defense."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ortho_group

from attacks.aligned import Aligned
from attacks.cosine import Cosine
from attacks.defenses.rotated import Rotated
from attacks.gallery import Released
from attacks.ranks.exact import exact_ranks
from tests.planted import World, positions, top1, world

SPREAD = np.arange(1, 17) ** -0.5


def named(planted: World, *, seed=0) -> float:
    attack = Aligned()
    attack.fit(planted.held, np.random.default_rng(seed))
    return top1(attack.ranks(planted.probe, planted.gallery, planted.true_row))


def turned(planted: World, seed=1) -> World:
    """The same world with its probes in a space turned at random."""
    matrix = ortho_group.rvs(planted.probe.shape[1], random_state=seed)
    return replace(planted, probe=(planted.probe @ matrix).astype(np.float32))


def plain(planted: World) -> float:
    return top1(exact_ranks(planted.probe, planted.gallery, planted.true_row))


@pytest.mark.parametrize("seed", range(3))
def test_a_rotation_is_undone_where_the_cloud_has_a_shape(seed):
    planted = world(positions(300, scale=SPREAD, seed=seed), 0.1, seed=seed)

    assert plain(turned(planted)) < 0.02
    assert named(turned(planted, seed)) > plain(planted) - 0.03


def test_the_defense_with_a_rotation_for_each_window_is_undone():
    planted = world(positions(300, scale=SPREAD), 0.1)
    both = Released(
        np.concatenate([planted.vectors, planted.probe]),
        np.concatenate([planted.user_row, planted.true_row]),
        window=np.repeat(["train", "test"], [len(planted.vectors), len(planted.probe)]),
    )
    released = Rotated().apply(both, np.random.default_rng(0))
    vectors, probe = np.split(released, [len(planted.vectors)])
    defended = replace(planted, vectors=vectors, probe=probe)

    assert plain(defended) < 0.02
    assert named(defended) > 0.95


def test_probes_of_half_of_the_people_are_enough():
    planted = turned(world(positions(300, scale=SPREAD), 0.1))
    half = planted.true_row < 150

    assert named(replace(planted, probe=planted.probe[half], true_row=planted.true_row[half])) > 0.5


def test_vectors_that_were_not_turned_are_named_as_before():
    for scatter in (0.1, 1.0):
        planted = world(positions(300), scatter)
        assert named(planted) == pytest.approx(plain(planted), abs=0.03)


def test_identity_without_a_shape_stays_hidden_behind_scatter():
    assert named(turned(world(positions(300), 1.0))) * 300 < 5


def test_strangers_are_named_by_chance():
    here, there = world(positions(300, scale=SPREAD), 0.1), world(positions(300, seed=9), 0.1)

    assert named(replace(here, probe=there.probe)) * 300 < 4


def test_the_numbering_of_users_does_not_matter():
    planted = turned(world(positions(100, scale=SPREAD), 0.1))
    other = planted.renumbered(np.random.default_rng(3).permutation(100))

    found = []
    for one in (planted, other):
        attack = Aligned()
        attack.fit(one.held, np.random.default_rng(0))
        found.append(attack.ranks(one.probe, one.gallery, one.true_row).greater)
    np.testing.assert_array_equal(*found)


def test_a_threshold_compares_cosines_after_the_rotation():
    planted = turned(world(positions(100, scale=SPREAD), 0.01))
    attack = Aligned()
    attack.fit(planted.held, np.random.default_rng(0))

    assert attack.best(planted.probe, planted.gallery).min() > 0.99
    assert Cosine().best(planted.probe, planted.gallery).min() < 0.9
