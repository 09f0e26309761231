"""Alignment of two spaces against SciPy's Procrustes analysis."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from attacks.cosine import Cosine
from attacks.gallery import Gallery
from attacks.linked import Linked
from attacks.ranks.exact import exact_ranks
from attacks.ranks.means import user_means
from tests.planted import constant, positions, top1, world


def elsewhere(vectors, dim=16, seed=0):
    """The same vectors in a space turned, scaled and shifted; with more dimensions if asked."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0][: vectors.shape[1]]
    return (3 * vectors @ axes + rng.standard_normal(dim)).astype(np.float32)


def linked(here, there_vectors, there_probe, *, num_known=50, seed=0):
    """Top-1 among the probes of users who are not known, and the attacker."""
    attack = Linked(num_known=num_known)
    gallery = Gallery(here.vectors, here.user_row, there=there_vectors)
    attack.fit(gallery, np.random.default_rng(seed))
    unknown = ~np.isin(here.true_row, attack.known_row)
    found = attack.ranks(there_probe[unknown], here.gallery, here.true_row[unknown])
    return top1(found), attack


@pytest.mark.parametrize("dim", [16, 24])
def test_a_turned_scaled_and_shifted_space_is_undone_exactly(dim):
    here = world(positions(), 0.1)
    there = elsewhere(here.vectors, dim), elsewhere(here.probe, dim)

    assert linked(here, *there)[0] == 1


def test_without_alignment_the_other_space_says_nothing():
    here = world(positions(), 0.1)
    found = Cosine().ranks(elsewhere(here.probe), here.gallery, here.true_row)

    assert top1(found) * 300 < 6


def test_a_space_of_strangers_is_no_better_than_chance():
    here, there = world(positions(), 0.1, probes=10), world(positions(seed=9), 0.1, probes=10)

    assert linked(here, there.vectors, there.probe)[0] * 300 < 3


def test_a_probes_space_of_fewer_dimensions_is_enough():
    here = world(positions(dim=24, scale=np.where(np.arange(24) < 12, 1.0, 0.01)), 0.05)
    narrow = elsewhere(here.vectors[:, :12], 12), elsewhere(here.probe[:, :12], 12)

    assert linked(here, *narrow)[0] > 0.95


def test_ranks_equal_those_after_procrustes_analysis_of_scipy():
    here = world(positions(), 0.5)
    there, probe = elsewhere(here.vectors), elsewhere(here.probe)
    _, attack = linked(here, there, probe)
    known = [user_means(v, here.user_row)[attack.known_row] for v in (here.vectors, there)]
    center_here, center_there = (means.mean(axis=0) for means in known)
    rotation, _ = orthogonal_procrustes(known[1] - center_there, known[0] - center_here)

    expected = exact_ranks(
        ((probe - center_there) @ rotation).astype(np.float32),
        (here.gallery - center_here).astype(np.float32),
        here.true_row,
    )
    found = attack.ranks(probe, here.gallery, here.true_row)

    assert 0.3 < top1(expected) < 1
    # Rounding to float32 may swap two rivals that are all but equally far.
    assert np.mean(found.greater == expected.greater) > 0.995


def test_more_known_users_link_more_of_the_others():
    here = world(positions(), 0.3)
    there = elsewhere(here.vectors), elsewhere(here.probe)
    share = [linked(here, *there, num_known=k)[0] for k in (4, 10, 100)]

    assert 2 / 300 < share[0] < 0.5 * share[1] < 0.5 * share[2]


def test_known_users_are_drawn_by_the_seed_and_not_by_their_numbers():
    here = world(positions(), 0.3)
    order = np.random.default_rng(3).permutation(300)
    other = here.renumbered(order)
    there, probe = elsewhere(here.vectors), elsewhere(here.probe)
    one, first = linked(here, there, probe)
    same, second = linked(other, there, probe)

    assert len(set(first.known_row)) == 50
    assert (np.diff(first.known_row) > 0).all()
    assert one == same
    np.testing.assert_array_equal(np.sort(order[first.known_row]), second.known_row)
    assert set(linked(here, there, probe, seed=1)[1].known_row) != set(first.known_row)


def test_only_known_users_are_looked_at_in_the_other_space():
    here = world(positions(), 0.3)
    there, probe = elsewhere(here.vectors), elsewhere(here.probe)
    _, attack = linked(here, there, probe)
    is_known = np.isin(here.user_row, attack.known_row)[:, None]
    _, other = linked(here, np.where(is_known, there, 0).astype(np.float32), probe)

    np.testing.assert_array_equal(attack.embed(here.gallery), other.embed(here.gallery))


def test_a_threshold_compares_cosines_after_the_alignment():
    here = world(positions(), 0.01)
    there, probe = elsewhere(here.vectors), elsewhere(here.probe)
    _, attack = linked(here, there, probe)

    assert attack.best(probe, here.gallery).min() > 0.99


def test_identical_users_are_named_by_chance():
    here = constant()
    assert linked(here, here.vectors, here.probe)[0] == pytest.approx(0.01)


def test_parameters_and_calls_that_cannot_be_used_are_refused():
    here = world(positions(50), 0.1)
    with pytest.raises(ValueError, match="num_known must be at least 2, got 1"):
        Linked(num_known=1)
    with pytest.raises(ValueError, match="below the number of gallery users, 50, got 50"):
        linked(here, here.vectors, here.probe)
    with pytest.raises(ValueError, match="call fit first"):
        Linked().ranks(here.probe, here.gallery, here.true_row)
