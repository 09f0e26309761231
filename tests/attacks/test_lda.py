"""Fisher's axes from the gallery's own events."""

import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf

from attacks.cosine import Cosine
from attacks.gallery import Gallery
from attacks.lda import Lda, discriminant
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


def test_directions_that_scatter_for_everybody_are_played_down():
    planted = world(positions(), nuisance())

    assert lift(Lda(), planted) > 0.9 * 300
    assert lift(Lda(), planted) > 5 * lift(Cosine(), planted)
    assert lift(Lda(), planted) > 1.2 * lift(Whitened(), planted)


def test_axes_solve_the_generalized_eigenproblem_of_scipy():
    planted = world(positions(60, 5), nuisance(5, 2.0), events=6)
    means = np.stack([planted.vectors[planted.user_row == u].mean(axis=0) for u in range(60)])
    deviation = planted.vectors - means[planted.user_row]
    within = ledoit_wolf(deviation, assume_centered=True)[0] * 6 / 5
    values = eigh(np.cov(means.T), within, eigvals_only=True)[::-1]

    found = discriminant(planted.vectors, planted.user_row)

    np.testing.assert_allclose(found.between, values - 1 / 6, rtol=1e-4)
    np.testing.assert_allclose(found.transform.T @ within @ found.transform, np.eye(5), atol=1e-5)


def test_ranks_equal_distances_in_units_of_the_scatter():
    planted = world(positions(60, 5), nuisance(5, 2.0), events=6)
    ranks = attacked(Lda(), planted)

    deviation = planted.vectors - planted.gallery[planted.user_row].astype(np.float64)
    precision = np.linalg.inv(ledoit_wolf(deviation, assume_centered=True)[0])
    distance = cdist(planted.probe, planted.gallery, "mahalanobis", VI=precision)
    true = distance[np.arange(len(distance)), planted.true_row]

    np.testing.assert_array_equal(ranks.greater, (distance < true[:, None] - 1e-9).sum(axis=1))


def test_true_spread_of_users_is_recovered_from_few_noisy_events():
    scale = np.linspace(2.0, 0.0, 8)
    planted = world(positions(4000, 8, scale=scale), 1.0, events=3)

    between = discriminant(planted.vectors, planted.user_row).between

    np.testing.assert_allclose(between, scale**2, atol=0.2)


def test_three_telling_axes_are_found_among_forty_and_better_than_all():
    scale = np.where(np.arange(40) < 3, 5.0, 0.0)
    planted = world(positions(dim=40, scale=scale), 1.0)

    assert lift(Lda(dimensions=3), planted) > 1.3 * lift(Lda(), planted)


def test_the_numbering_of_users_does_not_matter():
    planted = world(positions(), nuisance(strength=2.0))
    other = planted.renumbered(np.random.default_rng(3).permutation(300))

    np.testing.assert_array_equal(*(attacked(Lda(), w).greater for w in (planted, other)))


def test_users_with_one_event_are_named_like_the_others():
    planted = world(positions(), nuisance())
    single = planted.user_row < 150
    kept = ~single | (np.arange(len(single)) % 4 == 0)
    planted = type(planted)(
        planted.vectors[kept], planted.user_row[kept], planted.probe, planted.true_row
    )

    assert lift(Lda(), planted) > 0.9 * 300


def test_from_chance_to_certainty():
    assert 0.4 < lift(Lda(), noise()) < 1.6
    assert lift(Lda(), identifiers()) == 100
    assert top1(attacked(Lda(), constant())) == pytest.approx(0.01)


def test_parameters_and_galleries_that_cannot_be_used_are_refused():
    with pytest.raises(ValueError, match="dimensions must be at least 1, got 0"):
        Lda(dimensions=0)
    for user_row in (np.zeros(3, np.int64), np.arange(3)):
        with pytest.raises(ValueError, match="within-user scatter needs 2 gallery users"):
            Lda().fit(Gallery(np.eye(3, dtype=np.float32), user_row), np.random.default_rng())
