"""k-reciprocal re-ranking against sets and loops."""

import numpy as np
import pytest

from attacks.cosine import Cosine
from attacks.reranked import Reranked
from tests.planted import (
    World,
    attacked,
    constant,
    identifiers,
    lift,
    noise,
    positions,
    top1,
    world,
)


def crowds(seed, *, num_crowds=80, each=40, num_apart=40):
    """Probes of a few users who stand apart from many in tight groups; one vector each."""
    rng = np.random.default_rng(seed)
    centers = np.repeat(rng.standard_normal((num_crowds, 16)), each, axis=0)
    crowded = centers + 0.1 * rng.standard_normal(centers.shape)
    users = np.vstack([crowded, rng.standard_normal((num_apart, 16))]).astype(np.float32)
    true_row = np.repeat(np.arange(len(crowded), len(users)), 5)
    probe = users[true_row] + rng.standard_normal((len(true_row), 16))
    return World(users, np.arange(len(users)), probe.astype(np.float32), true_row)


def centered(planted):
    """The same users seen from the median of their gallery vectors, by sorting."""
    gallery = np.sort(planted.gallery.astype(np.float64), axis=0)
    center = (gallery[(len(gallery) - 1) // 2] + gallery[len(gallery) // 2]) / 2
    vectors, probe = ((v - center).astype(np.float32) for v in (planted.vectors, planted.probe))
    return World(vectors, planted.user_row, probe, planted.true_row)


def unit(vectors):
    return vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)


def nearest_others(cosine, k, itself=None):
    order = [int(user) for user in np.argsort(-cosine) if user != itself]
    return set(order[:k])


def places(probe, gallery, true_row, *, top, k1, weight):
    """Who beats and who ties with the true user, from the definitions, without ties of cosines."""
    between = unit(gallery) @ unit(gallery).T
    users = range(len(gallery))
    near = {k: [nearest_others(between[u], k, u) for u in users] for k in (k1, k1 // 2)}
    mutual = {k: [{u} | {v for v in near[k][u] if u in near[k][v]} for u in users] for k in near}
    farthest = [sorted(between[u, list(near[k1][u])])[0] for u in users]

    def expanded(members):
        added = [mutual[k1 // 2][q] for q in members]
        return members.union(*(new for new in added if 3 * len(new & members) >= 2 * len(new)))

    def code(members, cosine):
        return {v: np.exp(cosine[v] - 1) for v in members}

    codes = [code(expanded(mutual[k1][u]), between[u]) for u in users]

    def score(mine, user, cosine):
        theirs = codes[user]
        keys = mine.keys() | theirs.keys()
        low = sum(min(mine.get(v, 0), theirs.get(v, 0)) for v in keys)
        high = sum(max(mine.get(v, 0), theirs.get(v, 0)) for v in keys)
        return weight * cosine[user] + (1 - weight) * low / high

    result = []
    for cosine, true in zip(unit(probe) @ unit(gallery).T, true_row, strict=True):
        candidates = list(nearest_others(cosine, top))
        if true not in candidates:
            result.append(((cosine > cosine[true]).sum(), 0))
            continue
        members = {u for u in nearest_others(cosine, k1) if cosine[u] > farthest[u]}
        mine = code(expanded(members), cosine)
        scores = {u: score(mine, u, cosine) for u in candidates}
        ahead = np.array([scores[u] - scores[true] for u in candidates if u != true])
        result.append(((ahead > 1e-12).sum(), (np.abs(ahead) <= 1e-12).sum()))
    return np.transpose(result)


@pytest.mark.parametrize(
    "parameters", [{"top": 15, "k1": 6, "weight": 0.3}, {"top": 100, "k1": 9, "weight": 0.0}]
)
def test_places_equal_those_computed_from_sets(parameters):
    planted = centered(world(positions(60, 4), 1.0, events=1))
    ranks = attacked(Reranked(**parameters), planted)

    greater, equal = places(planted.probe, planted.gallery, planted.true_row, **parameters)

    np.testing.assert_array_equal(ranks.greater, greater)
    np.testing.assert_array_equal(ranks.equal, equal)
    assert (ranks.greater != attacked(Cosine(), planted).greater).mean() > 0.2


def test_users_apart_are_found_behind_the_crowds():
    reranked, plain = (
        np.mean([lift(attack, crowds(seed)) for seed in range(3)])
        for attack in (Reranked(), Cosine())
    )
    assert reranked > 1.04 * plain


def test_beyond_the_candidates_ranks_are_those_of_the_cosine():
    planted = centered(world(positions(), 2.0))
    ranks, plain = attacked(Reranked(top=30), planted), attacked(Cosine(), planted)
    beyond = plain.greater >= 30

    assert beyond.mean() > 0.1
    np.testing.assert_array_equal(ranks.greater[beyond], plain.greater[beyond])
    assert (ranks.greater[~beyond] < 30).all()
    assert (ranks.greater[~beyond] != plain.greater[~beyond]).any()


def test_with_all_weight_on_the_cosine_nothing_changes():
    planted = centered(world(positions(), 1.0))
    ranks, plain = attacked(Reranked(weight=1.0), planted), attacked(Cosine(), planted)

    np.testing.assert_array_equal(ranks.greater, plain.greater)
    np.testing.assert_array_equal(ranks.equal, plain.equal)


@pytest.mark.parametrize("shift", [0.0, 5.0, 1000.0])
def test_an_offset_that_all_vectors_share_does_not_matter(shift):
    planted = world(positions(200, 16), 0.4)
    moved = World(
        planted.vectors + np.float32(shift),
        planted.user_row,
        planted.probe + np.float32(shift),
        planted.true_row,
    )
    hits = top1(attacked(Reranked(), moved))

    assert hits == pytest.approx(top1(attacked(Reranked(), planted)), abs=0.002)
    assert hits > 0.9 * top1(attacked(Cosine(), planted))
    best = Reranked().best(moved.probe, moved.gallery)
    np.testing.assert_allclose(best, Reranked().best(planted.probe, planted.gallery), atol=1e-3)


def test_places_of_a_gallery_are_each_taken_once():
    planted = world(positions(80), 1.0, events=1, probes=1)
    probe = np.repeat(planted.probe[:1], 80, axis=0)

    ranks = Reranked(top=50, k1=8).ranks(probe, planted.gallery, np.arange(80))

    np.testing.assert_array_equal(np.sort(ranks.greater), np.arange(80))


def test_duplicates_are_tied_wherever_a_list_would_end():
    planted = world(positions(90), 0.5)
    gallery = np.repeat(planted.gallery, 3, axis=0)
    ranks = Reranked(top=31, k1=7).ranks(planted.probe, gallery, 3 * planted.true_row)

    assert (ranks.equal == 2).all()
    assert (ranks.greater % 3 == 0).all()


def test_the_numbering_of_users_and_the_other_probes_do_not_matter():
    planted = world(positions(), 1.0)
    ranks = attacked(Reranked(), planted)
    other = planted.renumbered(np.random.default_rng(3).permutation(300))
    few = Reranked().ranks(planted.probe[5:8], planted.gallery, planted.true_row[5:8])

    np.testing.assert_array_equal(ranks.greater, attacked(Reranked(), other).greater)
    np.testing.assert_array_equal(few.greater, ranks.greater[5:8])


def test_from_chance_to_certainty_in_galleries_of_any_size():
    assert 0.4 < lift(Reranked(), noise()) < 1.6
    assert lift(Reranked(), identifiers()) == 100
    assert top1(attacked(Reranked(), constant(300))) == pytest.approx(1 / 300)
    assert lift(Reranked(), world(positions(1), 1.0)) == 1
    assert lift(Reranked(), world(positions(3), 0.01)) == 3


def test_a_user_outside_the_gallery_is_behind_everyone():
    planted = world(positions(50), 1.0)
    ranks = Reranked().ranks(planted.probe, planted.gallery, np.full(200, -1))

    assert (ranks.greater == 50).all()
    assert not ranks.equal.any()


def test_parameters_out_of_range_are_refused():
    for name, value in (("top", 0), ("k1", 1), ("weight", 1.5)):
        with pytest.raises(ValueError, match=f"reranked: {name} must be .*, got {value}"):
            Reranked(**{name: value})
