"""The bound on Gaussian noise against simulated attackers, in more than a thousand worlds.

In each, a gallery is drawn on the sphere and the Bayes attacker, who knows it, names noisy
releases; the bound must not be exceeded beyond sampling error. How tight it is is read off the
attacker's exact rate averaged over galleries, which has no sampling error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.special import betainc
from scipy.stats import binom, chi2, norm

from attacks.certify import bound
from attacks.defenses.base import Certificate

USERS, DIMENSIONS, SIGMAS = (10, 100, 1_000, 10_000), (2, 8, 64, 256), (0.1, 0.2, 0.4, 0.8, 1.6)
RELEASES, GUESSES, PROBES = (1, 5, 10), (1, 2, 5, 10, 20), 4_000
TIGHT_USERS, TIGHT_DIMENSIONS = (10, 100, 1_000, 10_000, 28_361, 30_000), (64, 128, 256, 1_024)


def gallery(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    found = rng.standard_normal((n, d), np.float32)
    return found / np.linalg.norm(found, axis=1)[:, None]


def ahead(known: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    """How many users the Bayes attacker ranks before the right one, for each probe."""
    num = max(200, min(PROBES, 8_000_000 // len(known)))
    truth = rng.integers(len(known), size=num)
    noise = np.float32(scale) * rng.standard_normal((num, known.shape[1]), np.float32)
    score = (known[truth] + noise) @ known.T
    return (score > score[np.arange(num), truth][:, None]).sum(axis=1)


def expected(n: int, d: int, shift: float) -> float:
    """Top-1 of the Bayes attacker, averaged over galleries."""
    across = np.sqrt(chi2.ppf((np.arange(200) + 0.5) / 200, d - 1))[None]
    node = np.linspace(-7, 7, 401)
    cosine = (shift + node[:, None]) / np.hypot(shift + node[:, None], across)
    lost = betainc((d - 1) / 2, (d - 1) / 2, (1 - cosine) / 2)
    weight = norm.pdf(node)
    return float((((1 - lost) ** (n - 1)).mean(axis=1) * weight).sum() / weight.sum())


def test_no_simulated_attacker_exceeds_the_bound(
    benchmark: BenchmarkFixture, told: Callable[..., None]
) -> None:
    rng = np.random.default_rng(0)
    chances, tight = [], []

    def once() -> None:
        for n, d in product(USERS, DIMENSIONS):
            known = gallery(n, d, rng)
            for sigma, m in product(SIGMAS, RELEASES):
                before = ahead(known, sigma / math.sqrt(m), rng)
                for k in (one for one in GUESSES if one < n):
                    most = bound(Certificate(1.0, sigma, ""), n, k, m)
                    hits = int((before < k).sum())
                    chances.append(binom.sf(hits - 1, len(before), most))
        for n, d, shift in product(TIGHT_USERS, TIGHT_DIMENSIONS, np.geomspace(0.2, 12, 25)):
            reached = expected(n, d, float(shift))
            most = bound(Certificate(float(shift), 1.0, ""), n)
            assert reached <= most * (1 + 1e-6), (n, d, shift, reached, most)
            if reached > 0.01:
                tight.append((most / reached, n, d, round(float(shift), 2)))

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    least = min(chances)
    assert least * len(chances) > 1e-3
    assert max(tight)[0] <= 2
    told(
        {
            "cells simulated (N, d, sigma, m, k)": len(chances),
            "least chance of so many hits at the bound": f"{least:.2g}",
            "the same, times the cells": f"{least * len(chances):.2g}",
            "cells by quadrature, above 1 % top-1": len(tight),
            "largest bound / Bayes attacker": f"{max(tight)[0]:.3f} at N, d, R/sigma "
            f"{max(tight)[1:]}",
            "median bound / Bayes attacker": f"{float(np.median([one[0] for one in tight])):.3f}",
            "N 28361, d 64, R/sigma 1: Bayes attacker at m = 1, 10": [
                f"{expected(28_361, 64, math.sqrt(m)):.5f}" for m in (1, 10)
            ],
            "the bound at m = 1, 10": [
                f"{bound(Certificate(1.0, 1.0, ''), 28_361, 1, m):.5f}" for m in (1, 10)
            ],
        }
    )
