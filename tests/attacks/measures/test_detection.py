from __future__ import annotations

import numpy as np
import pytest

from attacks.measures.detection import fnir_at_fpir


def by_definition(best, first, unmated, fpir):
    """Try every score as the threshold, and take the smallest that few unmated probes pass."""
    candidates = np.append(np.unique(np.concatenate([best, unmated])), np.inf)
    threshold = next(t for t in candidates if np.mean(unmated >= t) <= fpir)
    return 1 - np.mean(first * (best >= threshold))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("fpir", [0.01, 0.1, 0.37])
def test_the_rate_is_that_of_the_smallest_allowed_threshold(seed, fpir):
    rng = np.random.default_rng(seed)
    unmated = rng.integers(0, 40, 1000) / 40.0
    best = rng.integers(0, 60, 300) / 40.0
    first = rng.choice([0.0, 0.5, 1.0], 300)

    assert fnir_at_fpir(best, first, unmated, fpir) == pytest.approx(
        by_definition(best, first, unmated, fpir)
    )


def test_too_few_unmated_probes_give_no_rate():
    best, first = np.ones(5), np.ones(5)

    assert fnir_at_fpir(best, first, np.zeros(99), 0.1) is None
    assert fnir_at_fpir(best, first, np.zeros(100), 0.1) == 0.0


def test_a_perfect_adversary_misses_nobody_and_a_blind_one_everybody():
    unmated = np.linspace(0, 1, 1000)

    assert fnir_at_fpir(np.full(10, 2.0), np.ones(10), unmated, 0.01) == 0.0
    assert fnir_at_fpir(np.full(10, 2.0), np.zeros(10), unmated, 0.01) == 1.0
    assert fnir_at_fpir(np.full(10, 0.5), np.ones(10), unmated, 0.01) == 1.0


def test_ties_at_the_threshold_do_not_pass():
    unmated = np.ones(1000)

    assert fnir_at_fpir(np.ones(10), np.ones(10), unmated, 0.1) == 1.0
