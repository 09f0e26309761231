"""Mahalanobis distance with shrinkage."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf

from attacks.cosine import Cosine
from attacks.euclidean import Euclidean
from attacks.gallery import Gallery
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


def test_an_axis_that_drowns_the_others_is_divided_out():
    scale = np.where(np.arange(16) == 0, 100.0, 1.0)
    planted = world(positions(scale=scale), np.where(scale > 1, 60.0, 0.3))

    assert lift(Whitened(), planted) > 0.9 * 300
    assert lift(Whitened(), planted) > 10 * lift(Euclidean(), planted)
    assert lift(Whitened(), planted) > 1.4 * lift(Cosine(), planted)


def test_ranks_equal_mahalanobis_distances_of_scipy():
    planted = world(positions(80, 6, scale=np.arange(1, 7)), 2.0)
    ranks = attacked(Whitened(), planted)

    gallery = planted.gallery.astype(np.float64)
    precision = np.linalg.inv(LedoitWolf().fit(gallery).covariance_)
    distance = cdist(planted.probe, gallery, "mahalanobis", VI=precision)
    true = distance[np.arange(len(distance)), planted.true_row]

    np.testing.assert_array_equal(ranks.greater, (distance < true[:, None] - 1e-9).sum(axis=1))
    assert not ranks.equal.any()


def test_a_rotation_and_a_shift_of_the_release_change_nothing():
    planted = world(positions(), nuisance(strength=1.0))
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0]
    moved = type(planted)(
        (planted.vectors @ axes + 7).astype(np.float32),
        planted.user_row,
        (planted.probe @ axes + 7).astype(np.float32),
        planted.true_row,
    )

    one, other = attacked(Whitened(), planted), attacked(Whitened(), moved)

    # Rounding to float32 may swap two rivals that are all but equally far.
    assert np.mean(one.greater == other.greater) > 0.99


def test_the_numbering_of_users_does_not_matter():
    planted = world(positions(), 1.0)
    other = planted.renumbered(np.random.default_rng(3).permutation(300))

    np.testing.assert_array_equal(*(attacked(Whitened(), w).greater for w in (planted, other)))


def test_from_chance_to_certainty():
    assert 0.4 < lift(Whitened(), noise()) < 1.6
    assert lift(Whitened(), identifiers()) == 100
    assert top1(attacked(Whitened(), constant())) == pytest.approx(0.01)


def test_a_single_gallery_user_is_refused():
    with pytest.raises(ValueError, match="2 users or more, got 1"):
        Whitened().fit(
            Gallery(np.ones((3, 2), np.float32), np.zeros(3, np.int64)), np.random.default_rng()
        )
