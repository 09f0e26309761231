"""What starting workers costs, and where torch.compile pays.

No bar. A fit of one epoch on a small world is nearly all start; a training step is timed with and
without torch.compile on batches of changing sizes, as a run has them, on a GPU where there is one.
"""

import tempfile
import time
from dataclasses import replace
from statistics import median

import pytest
import ray
import torch

from suite.cluster.settings import Compute
from suite.parts import Part
from suite.steps.features import prepare
from suite.steps.fit import fit
from suite.training import batches, loop
from suite.training.build import build
from suite.training.loop import Worker
from suite.training.settings import Training

USERS, STARTS, STEPS, WARM_UP = 400, 3, 40, 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def features():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield prepare(dataset=Part(name="synthetic", parameters={"users": USERS}), holdout_users=0)
    torch.set_num_threads(threads)


@pytest.mark.benchmark(group="start")
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_start_of_local_mode_and_of_worker_groups(benchmark, told, features):
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    start_s = {1: [], 2: []}

    def interleaved():
        for workers, found in start_s.items():
            seconds = []
            begin = time.perf_counter()
            with tempfile.TemporaryDirectory() as scratch:
                fitted = fit(
                    features,
                    model=Part(name="mlp"),
                    training=Training(epochs=1),
                    seed=0,
                    compute=Compute(workers=workers, accelerator="cpu"),
                    scratch=scratch,
                    report=seconds.append,
                )
            events = (features.events["window"] == "train").sum()
            epoch_s = events / fitted.history[0]["examples_per_s"]
            found.append(time.perf_counter() - begin - epoch_s)

    benchmark.pedantic(interleaved, rounds=STARTS)
    ray.shutdown()
    figures = {f"start_of_{n}_s": [round(s, 1) for s in found] for n, found in start_s.items()}
    told({"users": USERS, **figures})


@pytest.mark.benchmark(group="compile")
@pytest.mark.timeout(1800)
# What torch itself imports and looks at when it compiles, no use of this code.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("name", ["mlp", "bilstm"])
def test_a_step_compiled_against_one_that_is_not(name, benchmark, told, features):
    weight = torch.tensor(loop.positive_weight(features, 1), device=DEVICE)
    plan, training = batches.training_batches(features, seed=0, epoch=0), Training()
    copies = {}
    for compiled in (False, True):
        network = build(Part(name=name), 0).to(DEVICE)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        worker = replace(Worker(), device=DEVICE, compile=compiled)
        copies[compiled] = (loop._parallel(network, worker), optimizer, worker)
    step_s = {compiled: [] for compiled in copies}

    def interleaved():
        for number in range(STEPS):
            rows = plan[number % len(plan)]
            for compiled, (parallel, optimizer, worker) in copies.items():
                schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
                begin = time.perf_counter()
                loop._epoch(
                    parallel, features, [rows], weight, optimizer, schedule, worker, training
                )
                step_s[compiled].append(time.perf_counter() - begin)

    benchmark.pedantic(interleaved, rounds=1)
    warm = {compiled: median(found[WARM_UP:]) for compiled, found in step_s.items()}
    figures = {
        "model": name,
        "events_per_step": len(plan[0]),
        "steps": STEPS - WARM_UP,
        "plain_ms": round(1e3 * warm[False], 1),
        "compiled_ms": round(1e3 * warm[True], 1),
        "times_faster": round(warm[False] / warm[True], 2),
        "compiling_s": round(sum(step_s[True][:WARM_UP]) - WARM_UP * warm[True], 1),
    }
    told(figures)
