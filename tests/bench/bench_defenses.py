"""Seconds that each defense takes to apply to 300,000 vectors of 64 dimensions.

Bar: less than 1 s for any but `averaged`. Beside the time on the clock stands that of the
processor, which a machine that is busy with other work does not lengthen as much.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from attacks.defenses.base import Defense
from attacks.gallery import Released
from suite import registry

EVENTS, USERS, DIMENSIONS, ROUNDS = 300_000, 20_000, 64, 3

STRENGTHS = {
    "projected": ({}, {"onto": "pca", "dimensions": 8}, {"onto": "random", "dimensions": 8}),
    "erased": ({}, {"by": "inlp"}, {"by": "fisher"}),
    "quantized": ({}, {"bits": 1}, {"by": "product"}),
    "truncated": ({}, {"keep": "bottom"}),
}
"""What is timed besides the defaults."""


def vectors() -> Released:
    """Users about centers of their own, in three windows, with two labels."""
    rng = np.random.default_rng(0)
    user_row = rng.integers(USERS, size=EVENTS)
    user_row[:USERS] = np.arange(USERS)
    given = rng.standard_normal((USERS, DIMENSIONS), np.float32)[user_row]
    given += rng.standard_normal((EVENTS, DIMENSIONS), np.float32)
    window = np.array(["test", "train", "validation"])[rng.integers(3, size=EVENTS)]
    return Released(given, user_row, np.arange(EVENTS), window, given[:, :2] > 0.5)


@pytest.mark.benchmark(group="defenses")
@pytest.mark.parametrize("name", registry.names("defenses"))
def test_seconds_of_a_defense(
    benchmark: BenchmarkFixture, told: Callable[..., None], name: str
) -> None:
    given = vectors()
    rows = []

    def once() -> None:
        rows.clear()
        for strength in STRENGTHS.get(name, ({},)):
            defense: Defense = registry.create("defenses", name, strength)
            began = time.perf_counter()
            defense.fit(given, np.random.default_rng(0))
            row = {**strength, "fit_s": round(time.perf_counter() - began, 2)}
            wall, processor = [], []
            for seed in range(ROUNDS):
                began, worked = time.perf_counter(), time.process_time()
                defense.apply(given, np.random.default_rng(seed))
                wall.append(time.perf_counter() - began)
                processor.append(time.process_time() - worked)
            row["apply_s"] = round(statistics.median(wall), 2)
            row["apply_cpu_s"] = round(statistics.median(processor), 2)
            rows.append(row)

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    told({"defense": name, "vectors": f"{EVENTS} x {DIMENSIONS}", "users": USERS, "rows": rows})
