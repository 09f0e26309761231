"""100,000 probes against 1,000,000 gallery users: once, to see that it ends and what it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import psutil
from pytest_benchmark.fixture import BenchmarkFixture

from attacks.ranks.exact import exact_ranks

PROBES, GALLERY, DIM = 100_000, 1_000_000, 64


def test_a_million_gallery_users(benchmark: BenchmarkFixture, told: Callable[..., None]) -> None:
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((GALLERY, DIM), dtype=np.float32)
    true_row = rng.integers(GALLERY, size=PROBES)
    noise = rng.standard_normal((PROBES, DIM), dtype=np.float32)
    probe = gallery[true_row] + 3 * noise
    exact_ranks(probe[:64], gallery[:64], np.zeros(64, np.int64))  # compiles

    process = psutil.Process()
    before_bytes = process.memory_info().rss
    peak_bytes, done = before_bytes, threading.Event()

    def watch() -> None:
        nonlocal peak_bytes
        while not done.wait(0.05):
            peak_bytes = max(peak_bytes, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu_s = time.process_time()
    ranks = benchmark.pedantic(exact_ranks, (probe, gallery, true_row), rounds=1)
    cpu_s = time.process_time() - cpu_s
    done.set()
    watcher.join()

    wall_s = benchmark.stats.stats.total
    told(
        {
            "probes x gallery x dimensions": f"{PROBES} x {GALLERY} x {DIM}",
            "wall_s": round(wall_s),
            "cpu_s": round(cpu_s),
            "pairs_per_s": round(PROBES * GALLERY / wall_s),
            "gib_above_the_inputs": round((peak_bytes - before_bytes) / 2**30, 2),
            "top1": round(float(np.mean(ranks.greater == 0)), 4),
        }
    )
