"""What a suite costs besides its work, and what it costs again when all is cached.

Bars on two cores: a suite of 6 small models spends less than 25 % of its wall time outside its
work (fit, represent, defend, attack, utility); a cached re-run of 60 cells takes less than 15 s.
The wall time is that of the whole process, from Python's start to the printed leaderboard; what no
step covers is outside.
"""

import json
import time
from statistics import median

import pytest
import yaml

from suite.execute.timeline import TIMELINE, WORK, Timeline, covered
from suite.store.results import Store
from tests.processes import finish

SUITE = {
    "suite": "six",
    "datasets": [{"synthetic": {"users": 2000, "identity": 0.5, "drift": 0.1}}],
    "training": {"epochs": 4},
    "models": [
        "logistic",
        "mlp",
        {"mlp": {"widths": [64, 32]}},
        {"mlp": {"widths": [256, 128]}},
        {"mlp": {"dropout": 0.4}},
        "bilstm",
    ],
    "releases": ["model"],
    "protocols": ["static", "rolling"],
    "attacks": ["cosine", "euclidean", "whitened", "lda", "reranked"],
    "bootstrap": 1000,
}
NUM_CELLS, NUM_CACHED = 60, 3


@pytest.mark.timeout(3600)
@pytest.mark.benchmark(group="suite")
def test_six_small_models_and_sixty_cached_cells(benchmark, tmp_path, told):
    path = tmp_path / "six.yaml"
    path.write_text(yaml.safe_dump(SUITE, sort_keys=False))
    storage = tmp_path / "runs"

    def once():
        begin = time.time()
        ran = finish("run", path, "--storage", storage)
        assert ran.returncode == 0, ran.stderr
        return time.time() - begin

    cold_s = once()
    timeline = Timeline.from_json(Store(str(storage)).read_published("six", TIMELINE))
    work_s = covered((s.start, s.end) for s in timeline.spans if s.kind in WORK)
    board = json.loads(Store(str(storage)).read_published("six", "leaderboard.json"))
    assert len(board["rows"]) == NUM_CELLS
    cached_s = [once() for _ in range(NUM_CACHED - 1)]
    cached_s.append(benchmark.pedantic(once, rounds=1))
    fits = [s for s in timeline.spans if s.kind == "fit"]
    told(
        {
            "models": len(SUITE["models"]),
            "cells": NUM_CELLS,
            "cold_s": round(cold_s, 1),
            "outside_work": round(1 - work_s / cold_s, 3),
            "before_the_first_step_s": round(
                min(s.start for s in timeline.spans) - timeline.begin, 1
            ),
            "before_the_first_fit_s": round(min(s.start for s in fits) - timeline.begin, 1),
            "after_the_last_step_s": round(cold_s - timeline.wall_s, 1),
            "seconds_by_kind": {kind: round(s, 1) for kind, s in timeline.seconds().items()},
            "cluster_idle": round(timeline.idle, 3),
            "moved_mb": round(timeline.moved_bytes / 1e6),
            "start_of_a_fit_s": {s.title: round(s.end - s.start - s.compute_s, 2) for s in fits},
            "cached_s": round(median(cached_s), 1),
            "cached_repeats": NUM_CACHED,
        }
    )
