from __future__ import annotations

import numpy as np
import pytest

from attacks.defenses.base import Defense
from attacks.gallery import Released


class Noise(Defense):
    def apply(self, released, rng):
        noise = rng.normal(size=released.vectors.shape)
        return (released.vectors + noise).astype(np.float32)


def released(n: int) -> Released:
    return Released(np.arange(3 * n, dtype=np.float32).reshape(n, 3), np.arange(n))


def test_an_adversary_averages_the_releases_of_each_vector():
    """By hand: the first r of the draws, in the order in which whole releases are drawn."""
    count = np.array([1, 2, 4, 3, 1])
    found = Noise().observed(released(5), count, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    draws = np.stack([Noise().apply(released(5), rng) for _ in range(4)]).astype(np.float64)
    expected = [draws[:r, row].mean(axis=0) for row, r in enumerate(count)]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("num_releases", [1, 3, 25])
def test_independent_noise_shrinks_by_the_root_of_the_number_of_releases(num_releases):
    given = released(20_000)
    found = Noise().observed(given, num_releases, np.random.default_rng(0)) - given.vectors
    assert found.std() == pytest.approx(num_releases**-0.5, rel=0.02)
    same = Noise().observed(given, np.full(20_000, num_releases), np.random.default_rng(0))
    np.testing.assert_array_equal(same - given.vectors, found)


def test_one_release_is_what_is_applied():
    rngs = np.random.default_rng(3), np.random.default_rng(3)
    found = Noise().observed(released(4), 1, rngs[0])
    np.testing.assert_array_equal(found, Noise().apply(released(4), rngs[1]))
