"""A fresh rotation for every window."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist

from attacks.cosine import Cosine
from attacks.defenses.rotated import Rotated
from attacks.gallery import Released
from tests.defended import defended
from tests.planted import lift, positions, world
from tests.train_windows import train_window


def two_windows(dimensions=5):
    given = train_window(dimensions)
    return replace(given, window=np.array(["test", "train"])[given.order % 2])


def test_each_window_has_an_orthogonal_matrix_of_its_own():
    given = two_windows()
    released = Rotated().apply(given, np.random.default_rng(0))
    found = []
    for window in ("test", "train"):
        there = given.window == window
        turned, _ = orthogonal_procrustes(
            given.vectors[there].astype(np.float64), released[there].astype(np.float64)
        )
        np.testing.assert_allclose(given.vectors[there] @ turned, released[there], atol=1e-5)
        np.testing.assert_allclose(pdist(released[there]), pdist(given.vectors[there]), rtol=1e-4)
        found.append(turned)

    assert np.abs(found[0] - found[1]).max() > 0.1
    assert np.abs(found[0] - np.eye(5)).max() > 0.1


def test_rotations_are_uniform():
    one = Released(np.eye(3, dtype=np.float32), np.arange(3))
    rng = np.random.default_rng(0)
    drawn = np.array([Rotated().apply(one, rng) for _ in range(4_000)])

    # Under the Haar measure entries have mean 0 and variance 1/3; half the matrices reflect.
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose(drawn.var(axis=0), 1 / 3, atol=0.03)
    assert np.mean(np.linalg.det(drawn) > 0) == pytest.approx(0.5, abs=0.04)


def test_without_windows_all_vectors_are_one_release():
    given = replace(two_windows(), window=None)
    released = Rotated().apply(given, np.random.default_rng(0))

    np.testing.assert_allclose(pdist(released), pdist(given.vectors), rtol=1e-4)


def test_a_single_dimension_keeps_its_lengths():
    given = two_windows(1)
    released = Rotated().apply(replace(given, labels=None), np.random.default_rng(0))

    np.testing.assert_array_equal(np.abs(released), np.abs(given.vectors))


def test_an_adversary_uses_one_release():
    given = two_windows()
    one, of_many = (Rotated().observed(given, m, np.random.default_rng(0)) for m in (1, 50))

    np.testing.assert_array_equal(one, of_many)
    assert np.linalg.norm(of_many) == pytest.approx(np.linalg.norm(given.vectors), rel=1e-5)


def test_links_within_a_window_survive_and_between_windows_break():
    planted = world(positions(), 0.1)
    within = Rotated().apply(
        Released(np.vstack([planted.vectors, planted.probe]), np.tile(planted.user_row, 2)),
        np.random.default_rng(0),
    )
    gallery, probe = np.split(within, 2)

    assert lift(Cosine(), replace(planted, vectors=gallery, probe=probe)) > 290
    assert lift(Cosine(), defended(Rotated(), planted)) < 5
