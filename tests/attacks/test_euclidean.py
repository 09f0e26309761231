"""The distance attack sees lengths and no origin."""

import numpy as np

from attacks.euclidean import Euclidean


def test_euclidean_tells_parallel_users_apart():
    gallery = np.array([[1, 0], [2, 0], [4, 0]], np.float32)

    ranks = Euclidean().ranks(gallery, gallery, np.arange(3))

    assert ranks.greater.tolist() == [0, 0, 0]
    assert ranks.equal.tolist() == [0, 0, 0]


def test_euclidean_ranks_as_sorted_distances_far_from_the_origin():
    rng = np.random.default_rng(0)
    gallery = (rng.standard_normal((300, 8)) + 100).astype(np.float32)
    true_row = np.arange(300)
    probe = np.roll(gallery, 1, axis=0)

    ranks = Euclidean().ranks(probe, gallery, true_row)

    distance = np.linalg.norm(probe[:, None].astype(np.float64) - gallery, axis=2)
    place = np.argsort(np.argsort(distance, axis=1), axis=1)[true_row, true_row]
    np.testing.assert_array_equal(ranks.greater, place)
