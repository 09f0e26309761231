"""Feature extraction of the RecSys Challenge 2021: seconds per million rows, and memory.

Each size runs in a process of its own, over simulated files: reading and checking the tables, and
the wide features with a second reading. A row is an event that gets features; the day before the
first slice is read as well. Processor seconds stand beside those of the clock: on a machine that
others use as well, half of the first is what two idle cores would need at least. ``BENCH_ROWS``
names other sizes, ``BENCH_LOGS`` a folder that keeps the simulated files.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

ROWS = [
    int(text) for text in os.environ.get("BENCH_ROWS", "250000,500000,1000000,2000000").split(",")
]
TRAIN_DAYS, HISTORY_DAYS = 5, 1
ROWS_PER_USER_AND_DAY = 11
PARTS = ("s", "read_s", "cpu_s", "read_cpu_s")


def measure(folder: str) -> None:
    """Extract the features of the log in a folder and print what it took as JSON."""
    import polars as pl

    from suite.datasets.check import check
    from suite.datasets.recsys2021 import RecSys2021

    source = RecSys2021(path=folder, cut="days", train_days=TRAIN_DAYS, history_days=HISTORY_DAYS)
    began, began_cpu = time.perf_counter(), time.process_time()
    tables = check(source.tables())
    read_s, read_cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    wide = source.widened(tables, holdout_users=0.2).wide
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    assert wide is not None
    figures = {
        "rows": wide.select(pl.len()).collect().item(),
        "features": len(source.wide_features),
        "read_s": round(read_s, 2),
        "read_cpu_s": round(read_cpu_s, 2),
        "s": round(took_s, 2),
        "cpu_s": round(cpu_s, 2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "threads": pl.thread_pool_size(),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


@pytest.mark.parametrize("rows", ROWS)
def test_feature_extraction(
    benchmark: BenchmarkFixture, told: Callable[..., None], tmp_path: Path, rows: int
) -> None:
    from suite.datasets.simulators.recsys2021 import simulate

    users = max(50, round(rows / ROWS_PER_USER_AND_DAY / (TRAIN_DAYS + 1)))
    folder = Path(os.environ.get("BENCH_LOGS", tmp_path)) / f"log-{rows}"
    if not folder.exists():
        simulate(folder, users=users, seed=0, history_days=TRAIN_DAYS + HISTORY_DAYS - 1)
    size_bytes = sum(path.stat().st_size for path in folder.iterdir())
    environment = {**os.environ, "POLARS_MAX_THREADS": "2", "PYTHONPATH": str(Path.cwd())}
    found: list[dict[str, float]] = []

    def once() -> None:
        done = subprocess.run(
            [sys.executable, __file__, str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    (figures,) = found
    told(
        figures
        | {
            "users": users,
            "files_mib": round(size_bytes / 2**20),
            **{
                f"{key}_per_million_rows": round(1e6 * figures[key] / figures["rows"], 1)
                for key in PARTS
            },
        }
    )


if __name__ == "__main__":
    measure(sys.argv[1])
