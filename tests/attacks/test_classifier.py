"""The Gaussian classifier against densities of SciPy and against the best possible attacker."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from attacks.classifier import Classifier
from attacks.gallery import Gallery
from attacks.lda import Lda, discriminant
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


def unequal(seed=0, num_users=300, scale=1.0):
    """Users with 1 to 8 gallery events each."""
    full = world(positions(num_users, scale=scale, seed=seed), 1.0, events=8, seed=seed)
    kept = np.random.default_rng(seed).integers(1, 9, num_users)[full.user_row]
    is_kept = np.arange(len(full.user_row)) % 8 < kept
    return type(full)(full.vectors[is_kept], full.user_row[is_kept], full.probe, full.true_row)


def test_scores_are_log_likelihood_ratios_of_this_user_to_a_stranger():
    planted = unequal(num_users=40)
    attack = Classifier()
    attack.fit(planted.held, np.random.default_rng())
    center, transform, between = discriminant(planted.vectors, planted.user_row)
    probe = (planted.probe[:50] - center) @ transform

    expected = np.empty((50, 40))
    for user in range(40):
        events = (planted.vectors[planted.user_row == user] - center) @ transform
        spread = between / (1 + len(events) * between)
        here = multivariate_normal(spread * events.sum(axis=0), np.diag(1 + spread))
        stranger = multivariate_normal(np.zeros(16), np.diag(1 + between))
        expected[:, user] = here.logpdf(probe) - stranger.logpdf(probe)

    found = attack.embed(planted.probe[:50]) @ attack.weights.T
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(
        attack.best(planted.probe[:50], planted.gallery), expected.max(axis=1), atol=1e-4
    )


def test_it_comes_close_to_an_attacker_who_knows_all_distributions():
    planted = unequal()
    count = np.bincount(planted.user_row)[:, None]
    shrunk = planted.gallery * count / (1 + count)
    spread = 1 + 1 / (1 + count)
    square = ((planted.probe[:, None] - shrunk) ** 2).sum(axis=2)
    score = -square / spread[:, 0] / 2 - 8 * np.log(spread[:, 0])
    best = np.mean(score.argmax(axis=1) == planted.true_row)

    assert 0.2 < best < 0.9
    assert lift(Classifier(), planted) / 300 > 0.93 * best


def test_knowing_how_little_was_seen_of_a_user_beats_the_plain_distance():
    telling = np.where(np.arange(32) < 8, 1.0, 0.0)
    planted = world(positions(dim=32, scale=telling), 0.5, events=2)

    assert lift(Classifier(), planted) > 1.3 * lift(Lda(), planted)


def test_directions_that_scatter_for_everybody_are_played_down():
    assert lift(Classifier(), world(positions(), nuisance())) > 0.9 * 300


def test_the_numbering_of_users_does_not_matter():
    planted = unequal()
    other = planted.renumbered(np.random.default_rng(3).permutation(300))

    np.testing.assert_array_equal(*(attacked(Classifier(), w).greater for w in (planted, other)))


def test_from_chance_to_certainty():
    assert 0.4 < lift(Classifier(), noise()) < 1.6
    assert lift(Classifier(), identifiers()) == 100
    assert top1(attacked(Classifier(), constant())) == pytest.approx(0.01)


def test_a_gallery_of_single_vectors_is_refused():
    with pytest.raises(ValueError, match="2 vectors of one of them"):
        Classifier().fit(
            Gallery(np.eye(3, dtype=np.float32), np.arange(3)), np.random.default_rng()
        )
