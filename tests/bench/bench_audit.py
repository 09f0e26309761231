"""An audit of 10,000 users with 20 vectors each, from the start of the process to its files.

The reference is one plain product of all probes with all gallery vectors per attack, timed in turn
in this process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from pytest_benchmark.fixture import BenchmarkFixture

USERS, EACH, DIMENSIONS, REPLICATES, ATTACKS, ROUNDS = 10_000, 20, 64, 10_000, 2, 3
ROOT = Path(__file__).parent.parent.parent


def test_an_audit_takes_seconds_from_process_start(
    benchmark: BenchmarkFixture, told: Callable[..., None], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    user = rng.permutation(np.repeat(np.arange(USERS), EACH))
    own = rng.standard_normal((USERS, DIMENSIONS), np.float32)
    vector = own[user] + np.float32(2.5) * rng.standard_normal((len(user), DIMENSIONS), np.float32)
    path = tmp_path / "vectors.parquet"
    columns = {"user_id": user, "vector": pl.Series(vector), "time": rng.random(len(user))}
    pl.DataFrame(columns).write_parquet(path)
    probes, gallery = torch.from_numpy(vector[: len(user) // 2]), torch.from_numpy(own)
    tile = torch.empty(1000, USERS)
    audit_s, cpu_s, product_s, load = [], [], [], []

    def once() -> None:
        for number in range(ROUNDS):
            load.append(os.getloadavg()[0])
            before, began = os.times(), time.perf_counter()
            out = tmp_path / str(number)
            subprocess.run(
                [sys.executable, "-m", "suite", "audit", path, "--out", out],
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
            audit_s.append(time.perf_counter() - began)
            after = os.times()
            cpu_s.append(
                after.children_user
                + after.children_system
                - before.children_user
                - before.children_system
            )
            began = time.perf_counter()
            for _ in range(ATTACKS):
                for start in range(0, len(probes), len(tile)):
                    torch.mm(probes[start : start + len(tile)], gallery.T, out=tile)
            product_s.append(time.perf_counter() - began)

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    told(
        {
            "users, vectors each, dimensions": f"{USERS}, {EACH}, {DIMENSIONS}",
            "attacks, replicates": f"{ATTACKS}, {REPLICATES}",
            "audit_s": round(statistics.median(audit_s), 2),
            "audit_cpu_s": round(statistics.median(cpu_s), 2),
            "plain_products_s": round(statistics.median(product_s), 2),
            "load_before": [round(value, 1) for value in load],
        }
    )
