"""100,000 probes against 1,000,000 gallery users: once, to see that it ends and what it takes."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time

import numpy as np
import psutil
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from attacks.ranking import exact_ranks

PROBES, GALLERY, DIM = 100_000, 1_000_000, 64


def test_a_million_gallery_users(benchmark: BenchmarkFixture) -> None:
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
    sys.stdout.write(
        f"\n{PROBES:,} x {GALLERY:,} x {DIM}, {torch.get_num_threads()} threads, "
        f"load {os.getloadavg()[0]:.1f}, python {platform.python_version()}, "
        f"torch {torch.__version__}\n"
        f"wall {wall_s:.0f} s, cpu {cpu_s:.0f} s, {PROBES * GALLERY / wall_s / 1e9:.2f} billion "
        f"pairs/s, {(peak_bytes - before_bytes) / 2**30:.2f} GiB above the inputs, "
        f"top-1 {np.mean(ranks.greater == 0):.4f}\n"
    )
