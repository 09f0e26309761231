"""Advice on 10,000 users with 20 vectors each and one label, from the start of the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from pytest_benchmark.fixture import BenchmarkFixture

USERS, EACH, DIMENSIONS, MAX_LIFT = 10_000, 20, 64, 10
ROOT = Path(__file__).parent.parent.parent


def test_advice_takes_minutes_from_process_start(
    benchmark: BenchmarkFixture, told: Callable[..., None], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS), EACH)
    own = rng.standard_normal((USERS, DIMENSIONS)) * np.linspace(1.5, 0.3, DIMENSIONS)
    vector = (own[user] + 0.8 * rng.standard_normal((len(user), DIMENSIONS))).astype(np.float32)
    score = vector @ rng.standard_normal(DIMENSIONS) / DIMENSIONS**0.5
    finished = score + rng.standard_normal(len(user)) > 0
    path, out = tmp_path / "vectors.parquet", tmp_path / "advice.json"
    times = np.tile(np.arange(EACH), USERS)
    columns = {"user_id": user, "vector": pl.Series(vector), "time": times, "finished": finished}
    pl.DataFrame(columns).write_parquet(path)
    figures: dict[str, object] = {}

    def once() -> None:
        load, before, began = os.getloadavg()[0], os.times(), time.perf_counter()
        asked = ["--max-lift", str(MAX_LIFT), "--label", "finished", "-o", out]
        subprocess.run(
            [sys.executable, "-m", "suite", "advise", path, *asked],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        after, best = os.times(), json.loads(out.read_text())["chosen"]
        spent = after.children_user + after.children_system
        figures.update(
            {
                "users, vectors each, dimensions": f"{USERS}, {EACH}, {DIMENSIONS}",
                "advise_s": round(time.perf_counter() - began, 1),
                "advise_cpu_s": round(spent - before.children_user - before.children_system, 1),
                "load_before": round(load, 1),
                "chosen": f"{best['defense']} {best['parameters']}",
                "lift_high": round(best["lift"]["high"], 2),
                "auc": round(best["cost"]["auc"]["finished"]["auc"], 4),
            }
        )

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    told(figures)
