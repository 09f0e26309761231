"""Assignment against all permutations."""

from itertools import permutations

import numpy as np
import pytest

from attacks.cosine import Cosine
from attacks.gallery import Gallery
from attacks.matching import Matching
from tests.planted import attacked, constant, identifiers, lift, noise, positions, top1, world


def ranks(probe, gallery, true_row, seed=0):
    attack = Matching()
    attack.fit(Gallery(gallery, np.arange(len(gallery))), np.random.default_rng(seed))
    return attack.ranks(probe, gallery, true_row)


def at_angles(*degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_a_collision_is_resolved_in_favor_of_the_better_sum():
    # Both probes are nearest to user 0; the first fits user 1 nearly as well.
    gallery, probe = at_angles(0, 20), at_angles(8, 1)

    assert attacked_one_by_one(probe, gallery, [1, 0]).tolist() == [1, 0]
    found = ranks(probe, gallery, np.array([1, 0]))
    assert found.greater.tolist() == [0, 0]
    assert found.equal.tolist() == [0, 0]


def attacked_one_by_one(probe, gallery, true_row):
    return Cosine().ranks(probe, gallery, np.array(true_row)).greater


def test_the_assigned_user_comes_first_and_the_others_in_order_of_score():
    gallery, probe = at_angles(0, 20, 50), at_angles(8, 1)
    # The first probe is assigned user 1, then come users 0 and 2; the second gets user 0.
    first, second = np.repeat(probe[:1], 3, axis=0), np.repeat(probe[1:], 3, axis=0)
    found = [
        ranks(np.stack([a, b]), gallery, np.array([user, user])).greater.tolist()
        for user, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    assert found == [[1, 0], [0, 1], [2, 2]]


@pytest.mark.parametrize(("num_probes", "num_users"), [(5, 5), (4, 6), (6, 4)])
def test_the_assignment_is_the_best_of_all(num_probes, num_users):
    rng = np.random.default_rng(1)
    for _ in range(20):
        probe = rng.standard_normal((num_probes, 3)).astype(np.float32)
        gallery = rng.standard_normal((num_users, 3)).astype(np.float32)
        a, b = (
            v / np.linalg.norm(v.astype(float), axis=1, keepdims=True) for v in (probe, gallery)
        )
        cosine = a @ b.T
        if num_probes <= num_users:
            best = max(
                permutations(range(num_users), num_probes),
                key=lambda p: sum(cosine[i, u] for i, u in enumerate(p)),
            )
            named = dict(enumerate(best))
        else:
            best = max(
                permutations(range(num_probes), num_users),
                key=lambda p: sum(cosine[i, u] for u, i in enumerate(p)),
            )
            named = {i: u for u, i in enumerate(best)}
        for user in range(num_users):
            found = ranks(probe, gallery, np.full(num_probes, user)).greater
            for i in range(num_probes):
                above = {u for u in range(num_users) if cosine[i, u] > cosine[i, user]}
                expected = 0 if named.get(i) == user else len((above | {named.get(i)}) - {None})
                assert found[i] == expected


def test_naming_all_together_beats_naming_one_by_one():
    planted = world(positions(), 0.7, probes=1)

    assert lift(Matching(), planted) > 1.1 * lift(Cosine(), planted)


def test_more_gallery_users_than_probes_are_no_obstacle():
    planted = world(positions(), 0.7, probes=1)
    fewer = type(planted)(
        planted.vectors, planted.user_row, planted.probe[:200], planted.true_row[:200]
    )
    assert lift(Matching(), fewer) > 1.05 * lift(Cosine(), fewer)


def test_all_probes_of_a_user_are_pooled():
    assert Matching().pool(np.array([7, 3, 7, 7, 3, 9])).tolist() == [1, 0, 1, 1, 0, 2]


def test_equal_users_are_assigned_at_random_and_not_in_their_order():
    hits = [top1(attacked(Matching(), constant(50), seed=seed)) * 50 for seed in range(60)]

    # The hits of a random permutation have mean 1 and variance 1.
    assert 0.5 < np.mean(hits) < 1.5
    assert len(set(hits)) > 1


def test_duplicates_of_a_user_are_as_good_as_the_user():
    rng = np.random.default_rng(0)
    gallery = np.repeat(rng.standard_normal((40, 16)), 2, axis=0).astype(np.float32)
    found = np.mean([top1(ranks(gallery, gallery, np.arange(80), seed)) for seed in range(30)])

    assert 0.4 < found < 0.6


def test_an_assigned_user_leaves_the_ties_of_the_others():
    gallery = at_angles(0, 0, 0, 90)
    found = [ranks(at_angles(5), gallery, np.array([0]), seed) for seed in range(20)]

    assert {(int(r.greater[0]), int(r.equal[0])) for r in found} == {(0, 0), (1, 1)}


def test_the_numbering_of_users_does_not_matter():
    planted = world(positions(), 2.0)
    other = planted.renumbered(np.random.default_rng(3).permutation(300))
    attack = Matching()
    by_user = []
    for w, order in ((planted, np.arange(300)), (other, np.random.default_rng(3).permutation(300))):
        found = attacked(attack, w)
        by_user.append(found.greater[order])

    np.testing.assert_array_equal(*by_user)


def test_from_chance_to_certainty():
    assert lift(Matching(), noise(400)) < 6  # hits of a random permutation: above 5 once in 1,700
    assert lift(Matching(), identifiers()) == 100


def test_users_outside_the_gallery_stay_behind_everyone():
    planted = world(positions(50), 1.0, probes=1)
    true_row = np.where(planted.true_row < 10, -1, planted.true_row)
    found = ranks(planted.probe, planted.gallery, true_row)

    assert (found.greater[:10] == 50).all()
    assert (found.greater[10:] < 50).all()
    assert not found.equal.any()


def test_too_many_users_are_refused_in_one_line():
    many = np.ones((10_001, 1), np.float32)
    with pytest.raises(ValueError, match="at most 10000 each, got 1 and 10001"):
        ranks(many[:1], many, np.array([0]))
