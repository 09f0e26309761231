"""The user-cluster bootstrap at the documents' size, against resampling probes in NumPy.

The reference averages the resampled users' probes themselves; it is timed in turn for a few
replicates and scaled.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import psutil
from pytest_benchmark.fixture import BenchmarkFixture

from attacks.measures.bootstrap import bootstrap

PROBES, USERS, REPLICATES, SLICE, FIGURES, ROUNDS = 280_000, 28_361, 10_000, 20, 6, 3


def test_ten_thousand_replicates_cost_seconds(
    benchmark: BenchmarkFixture, told: Callable[..., None]
) -> None:
    rng = np.random.default_rng(0)
    user = np.sort(np.concatenate([np.arange(USERS), rng.integers(USERS, size=PROBES - USERS)]))
    credits = (rng.random((PROBES, FIGURES)) < 0.1).astype(np.float64)
    first = np.searchsorted(user, np.arange(USERS))
    rows_of = np.split(np.arange(PROBES), first[1:])
    times: dict[str, list[float]] = {"one figure": [], "all figures": [], "over probes, scaled": []}

    def once() -> None:
        for seed in range(ROUNDS):
            for name, values in (("one figure", credits[:, :1]), ("all figures", credits)):
                began = time.perf_counter()
                bootstrap(values, user, replicates=REPLICATES, rng=np.random.default_rng(seed))
                times[name].append(time.perf_counter() - began)
            began = time.perf_counter()
            for _ in range(SLICE):
                drawn = np.concatenate([rows_of[one] for one in rng.integers(USERS, size=USERS)])
                credits[drawn].mean(axis=0)
            scaled = (time.perf_counter() - began) * REPLICATES / SLICE
            times["over probes, scaled"].append(scaled)

    before = psutil.Process().memory_info().rss
    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    median = {name: statistics.median(values) for name, values in times.items()}
    told(
        {
            "probes, users, replicates, figures": f"{PROBES}, {USERS}, {REPLICATES}, {FIGURES}",
            **{f"{name} (s)": round(value, 2) for name, value in median.items()},
            "times_faster": round(median["over probes, scaled"] / median["all figures"], 1),
            "resident_mib_above_inputs": round(
                (psutil.Process().memory_info().rss - before) / 2**20, 1
            ),
        }
    )
