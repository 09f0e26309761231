"""What Ray adds to an epoch: the bare loop against the same fit as a Ray task, and more workers.

Bars: less than 5 % of an epoch with one worker; two workers at least 1.6 times one thread's
throughput. An epoch is the time from one report to the next: batches, validation, checkpoint.
Efficiency is throughput over that of as many single threads: on two cores four workers cannot
exceed 0.5, and show what oversubscription costs.
"""

import functools
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
import ray
import torch

from suite.cluster.settings import Compute
from suite.parts import Part
from suite.steps.features import prepare
from suite.steps.fit import fit
from suite.training.build import build
from suite.training.loop import Worker, train
from suite.training.settings import Training

USERS, EPOCHS, ROUNDS = 1000, 4, 3

# Ray gives a task of one CPU one thread; the bare loop gets no more.
THREADS = 1


def stamp(path, _row):
    """Note when an epoch was reported, in whatever process."""
    with Path(path).open("a") as file:
        file.write(f"{time.time()}\n")


def epochs_s(path):
    return [after - before for before, after in pairwise(map(float, path.read_text().split()))]


def bare(features, model, training, folder):
    train(
        build(model, seed=0),
        features,
        training,
        seed=0,
        worker=Worker(),
        checkpoint_url=f"{folder}/checkpoint.pt",
        report=functools.partial(stamp, folder / "stamps"),
    )
    return epochs_s(folder / "stamps")


def through_ray(features, model, training, folder, workers=1):
    task = ray.remote(num_cpus=1 if workers == 1 else 0)(fit)
    report = functools.partial(stamp, folder / "stamps")
    options = {"model": model, "training": training, "seed": 0, "report": report}
    compute = Compute(workers=workers, accelerator="cpu")
    ray.get(task.remote(features, compute=compute, scratch=str(folder / "scratch"), **options))
    return epochs_s(folder / "stamps")


@pytest.fixture(scope="module")
def cluster():
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    # Four workers need four CPUs to be placed, whatever there is to run them on.
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("cluster")
@pytest.mark.timeout(1800)
@pytest.mark.benchmark(group="an epoch")
@pytest.mark.parametrize("name", ["mlp", "bilstm"])
def test_an_epoch_through_ray_against_the_bare_loop(name, benchmark, tmp_path, told):
    model, training = Part(name=name), Training(epochs=EPOCHS, patience=EPOCHS)
    features = prepare(dataset=Part(name="synthetic", parameters={"users": USERS}), holdout_users=0)
    stored = ray.put(features)
    ways = {
        "bare": functools.partial(bare, features),
        "ray": functools.partial(through_ray, stored),
        "ray_2_workers": functools.partial(through_ray, stored, workers=2),
        "ray_4_workers": functools.partial(through_ray, stored, workers=4),
    }
    seconds = {way: [] for way in ways}

    def interleaved():
        for round_ in range(ROUNDS):
            for way, run in ways.items():
                folder = tmp_path / f"{way}-{round_}"
                folder.mkdir()
                seconds[way] += run(model, training, folder)

    benchmark.pedantic(interleaved, rounds=1)
    epoch_s = {way: median(found) for way, found in seconds.items()}
    train_events = int((features.events["window"] == "train").sum())
    told(
        {
            "model": name,
            "users": USERS,
            "train_events": train_events,
            "epochs_of_each": len(seconds["bare"]),
            **{f"{way}_epoch_s": round(found, 3) for way, found in epoch_s.items()},
            "ray_over_bare": round(epoch_s["ray"] / epoch_s["bare"], 3),
            "speedup_of_2_workers": round(epoch_s["bare"] / epoch_s["ray_2_workers"], 2),
            "examples_per_s": {way: round(train_events / s) for way, s in epoch_s.items()},
            "efficiency": {
                n: round(epoch_s["bare"] / epoch_s[f"ray_{n}_workers"] / n, 2) for n in (2, 4)
            },
            "threads_per_worker": THREADS,
        }
    )
