"""Many readers from end to end, and the histories of a million: seconds and memory.

Bars: at least 200,000 simulated readers on two cores within 8 GiB, all processes together; the
features of 1,000,000 readers' histories within 8 GiB. BENCH_USERS makes both smaller for a smoke.
Memory is the sum of proportional set sizes: a page that n processes share counts once.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from suite.datasets.ebnerd import HISTORY
from suite.datasets.simulators.ebnerd import simulate
from suite.execute.timeline import TIMELINE, Timeline
from suite.store.results import Store
from tests.memory import Watch
from tests.processes import ROOT, start

USERS = int(os.environ.get("BENCH_USERS", 200_000))
COPIED = 10_000
"""Readers whose histories are repeated under other names, which is faster than drawing more."""


@pytest.mark.timeout(7200)
@pytest.mark.benchmark(group="scale")
def test_readers_from_files_to_an_attack(benchmark, tmp_path, told):
    world, storage, path = tmp_path / "world", tmp_path / "runs", tmp_path / "big.yaml"
    begin, cpu = time.time(), time.process_time()
    simulation = simulate(world, users=USERS, seed=0, history_days=7)
    simulated = {"wall_s": time.time() - begin, "cpu_s": time.process_time() - cpu}
    suite = {
        "suite": "big",
        "datasets": [{"ebnerd": {"path": str(world)}}],
        "training": {"epochs": 1},
        "models": ["mlp"],
        "protocols": ["rolling"],
        "attacks": [{"aggregated": {"m": "all"}}],
        "bootstrap": 200,
    }
    path.write_text(yaml.safe_dump(suite))

    def run():
        command = ("-m", "suite", "run", path, "--storage", storage)
        with (tmp_path / "log").open("w") as log:
            process = start(sys.executable, *command, stdout=log, stderr=subprocess.STDOUT)
            with Watch(process) as watch:
                process.wait()
        assert process.returncode == 0, (tmp_path / "log").read_text()
        return watch

    watch = benchmark.pedantic(run, rounds=1)
    store = Store(str(storage))
    timeline = Timeline.from_json(store.read_published("big", TIMELINE))
    (row,) = json.loads(store.read_published("big", "leaderboard.json"))["rows"]
    told(
        {
            "users": USERS,
            "impressions": simulation.impressions,
            "clicks": simulation.clicks,
            "simulated": simulated,
            "seconds": {s.kind: round(s.end - s.start, 1) for s in timeline.spans},
            "num_gallery": row["num_gallery"],
            "num_probes": row["num_probes"],
            "peak_gib": round(watch.peak_bytes / 2**30, 2),
            "peak_without_files_gib": round(watch.peak_own_bytes / 2**30, 2),
            "peak_of_gib": [(name, round(size / 2**30, 2)) for name, size in watch.peak_of],
        },
    )


DESCRIBE = """
import sys, time
from datetime import UTC, datetime
import polars as pl
from suite.datasets.ebnerd import EBNeRD
from suite.features.histories import described
source = EBNeRD(path=sys.argv[1])
histories = source._histories(source._folder() / "train/history.parquet", ["train"])
users = histories.select("user_id").collect(engine="streaming")["user_id"]
events = pl.DataFrame({"user_id": users}).with_columns(
    row=pl.int_range(pl.len(), dtype=pl.Int64), window=pl.lit("train")
)
items = source._items(source._folder() / "articles.parquet")
cpu = time.process_time()
found = described(events, histories, items=items, starts={"train": datetime(2023, 5, 18, 7,
    tzinfo=UTC)}, time_zone="Europe/Copenhagen")
print(found.sequence.shape[0], time.process_time() - cpu)
"""


def repeated(world, times):
    """Repeat a world's train histories under other user ids; return the number of clicks."""
    path = world / "train" / "history.parquet"
    table = pl.read_parquet(path)
    schema = pl.DataFrame(schema=HISTORY).to_arrow().schema
    step = int(table["user_id"].max()) + 1
    with pq.ParquetWriter(world / "more.parquet", schema) as writer:
        for number in range(times):
            ids = table["user_id"].to_numpy().astype(np.int64) + number * step
            copy = table.with_columns(user_id=pl.Series(ids).cast(pl.UInt32))
            writer.write_table(pa.table(copy.to_arrow()).cast(schema))
    (world / "more.parquet").rename(path)
    return times * int(table["article_id_fixed"].list.len().sum())


@pytest.mark.timeout(7200)
@pytest.mark.benchmark(group="scale")
def test_the_histories_of_many_readers_stream(benchmark, tmp_path, told):
    world = tmp_path / "world"
    simulate(world, users=COPIED, seed=0)
    clicks = repeated(world, 5 * USERS // COPIED)

    def run():
        process = start(sys.executable, "-c", DESCRIBE, world, PYTHONPATH=ROOT)
        with Watch(process) as watch:
            out, err = process.communicate()
        assert process.returncode == 0, err
        return watch, out.split()

    begin = time.time()
    watch, (count, cpu_s) = benchmark.pedantic(run, rounds=1)
    assert int(count) == 5 * USERS // COPIED * COPIED
    told(
        {
            "histories": int(count),
            "clicks": clicks,
            "wall_s": round(time.time() - begin, 1),
            "cpu_s": round(float(cpu_s), 1),
            "peak_gib": round(watch.peak_bytes / 2**30, 2),
            "peak_without_files_gib": round(watch.peak_own_bytes / 2**30, 2),
        },
    )
