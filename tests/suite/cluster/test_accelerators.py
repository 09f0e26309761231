"""What a fit asks for is what some host has, or a person is told at once."""

from __future__ import annotations

import json

import pytest
import ray
import torch

from suite.cluster import accelerators
from suite.cluster.connect import fitting
from suite.cluster.settings import Compute
from suite.execute import scheduler
from suite.execute.capacity import Capacity
from suite.parts import Part
from suite.plan.step import Step
from suite.search import search


def host(cpus: float, gpus: float = 0, kind: str = "", *, alive: bool = True, **labels: str):
    if kind:
        labels[accelerators.KIND] = kind
    return {"Alive": alive, "NodeID": "", "Labels": labels, "Resources": {"CPU": cpus, "GPU": gpus}}


@pytest.fixture
def hosts(monkeypatch):
    """Make Ray tell of these hosts; none of the tests here starts anything on them."""

    def there(*nodes, cuda=False):
        monkeypatch.setattr(ray, "is_initialized", lambda: True)
        monkeypatch.setattr(ray, "nodes", lambda: list(nodes))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return there


@pytest.mark.parametrize(
    ("kinds", "resolved", "label"),
    [
        ({}, "cpu", None),
        ({"A100": [4, 4], "T4": [4]}, "cuda", "A100"),
        ({"A100": [1], "T4": [1, 1, 1]}, "cuda", "T4"),
        ({"M2-Pro": [1, 1], "M1": [1]}, "mps", "M2-Pro"),
        ({"M2-Pro": [1, 1, 1], "M60": [2]}, "cuda", "M60"),
        ({"TPU-V4": [0]}, "cpu", None),
        ({"": [2]}, "cuda", None),
    ],
)
def test_all_workers_of_a_run_get_one_kind_of_gpu(hosts, kinds, resolved, label):
    nodes = [host(8, n, kind) for kind, numbers in kinds.items() for n in numbers]
    hosts(*nodes, host(64), host(8, 8, "H100", alive=False))
    assert accelerators.resolved("auto") == resolved
    assert accelerators.one_kind(resolved) == (label and {accelerators.KIND: label})


def test_a_gpu_that_the_cluster_does_not_count_is_not_waited_for(hosts):
    hosts(host(8), cuda=True)
    assert accelerators.resolved("auto") == "cpu"


def test_a_worker_asks_for_no_more_cpus_than_the_hosts_with_gpus_have(hosts):
    hosts(host(4, 1, "H100"), host(32))
    asked = Compute(cpus_per_worker=8)
    granted = fitting(asked)
    assert (granted.accelerator, granted.cpus_per_worker) == ("cuda", 4)
    assert fitting(asked.model_copy(update={"accelerator": "cpu"})).cpus_per_worker == 8


def shortage(model="mlp", kind="fit", **compute):
    step = Step(kind, "a fit", {"model": Part(name=model)}, (), ())
    capacity = Capacity(Compute(**compute))
    capacity.refresh()
    return capacity.shortage(step)


CUDA = {"accelerator": "cuda"}


@pytest.mark.parametrize(
    ("nodes", "compute", "said"),
    [
        ([host(2)], {"cpus_per_worker": 2}, None),
        (
            [host(2)],
            {"workers": 3},
            "it needs 3 workers with 1 CPU each; CPUs of the live hosts: 2",
        ),
        ([host(2), host(1)], {"workers": 3}, None),
        ([host(2)], CUDA, "it needs 1 CPU and 1 GPU; CPUs and GPUs of the live hosts: 2 and 0"),
        ([host(2), host(4, 1, "H100")], CUDA, None),
        (
            [host(32), host(4, 1, "H100")],
            {**CUDA, "cpus_per_worker": 8},
            "it needs 8 CPU and 1 GPU; CPUs and GPUs of the live hosts with "
            "ray.io/accelerator-type=H100: 4 and 1",
        ),
        (
            [host(4, 1, "H100"), host(4, 1, "T4")],
            {**CUDA, "workers": 2},
            "it needs 2 workers with 1 CPU and 1 GPU each; CPUs and GPUs of the live hosts with "
            "ray.io/accelerator-type=H100: 4 and 1",
        ),
        (
            [host(4, rack="a")],
            {"workers": 2, "node_labels": {"rack": "b"}},
            "it needs 2 workers with 1 CPU each; CPUs of the live hosts with rack=b: none",
        ),
        ([host(4, 1, "H100")], {**CUDA, "gpu_share": 0.25}, None),
    ],
)
def test_what_no_host_has_is_said(hosts, nodes, compute, said):
    hosts(*nodes)
    assert shortage(**compute) == said


def test_estimators_and_steps_besides_fits_need_no_gpu(hosts):
    hosts(host(2))
    assert shortage("logistic", **CUDA) is None
    assert shortage(kind="attack", **CUDA) is None


@pytest.mark.parametrize(
    ("compute", "trials"), [({}, 64), (CUDA, 2), ({**CUDA, "gpu_share": 0.25}, 8)]
)
def test_no_more_trials_run_than_there_are_gpus_for(monkeypatch, compute, trials):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 64.0, "GPU": 2.0})
    assert search._concurrency(Compute(**compute)) == trials


@pytest.mark.parametrize(("gpus", "running"), [(0, 7), (1, 2)])
def test_steps_start_as_they_are_ready_but_with_gpus_no_more_than_there_are_cpus(
    hosts, monkeypatch, gpus, running
):
    hosts(host(2, gpus))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0, "GPU": float(gpus)})
    steps = [Step("attack", str(n), {"n": n}, (), ()) for n in range(7)]
    run = scheduler._Run(steps[:5], None, Compute(), None, None, None)
    monkeypatch.setattr(run, "_task", lambda step: step.digest)
    run.start()
    run.waiting |= {step.digest: step for step in steps[5:]}
    run.start()
    assert len(run.running) == running


WITH_A_GPU = """
import json, sys
import ray
from rich.console import Console
from suite import pipeline, spec
from suite.publish.places import open_store

ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
storage = sys.argv[2]
board = pipeline.run(
    spec.load(sys.argv[1], ["compute.accelerator=cpu"]),
    open_store(storage),
    tracking_uri=f"sqlite:///{storage}/mlflow.db",
    address=None,
    console=Console(stderr=True),
)
print(json.dumps([row.status for row in board.rows]))
"""


@pytest.mark.cluster
@pytest.mark.slow
def test_a_cluster_that_counts_a_gpu_does_all_steps_and_no_more_at_once_than_it_has_cpus(
    shell, suite_file, tmp_path
):
    """The GPU is one that Ray counts and nobody has: its shares are held, torch finds none."""
    from tests.processes import ROOT

    path = suite_file(models=["logistic", "mlp", "bilstm"], releases=["model", "random_net"])
    done = shell(*("-c", WITH_A_GPU, path, tmp_path / "runs"), PYTHONPATH=str(ROOT), timeout_s=400)
    assert done.code == 0, done.err
    assert set(json.loads(done.out.splitlines()[-1])) == {"done"}
    timeline = json.loads((tmp_path / "runs/suites/tiny/timeline.json").read_text())
    spans = timeline["spans"]
    assert len(spans) > 10
    for one in spans:
        at_once = sum(s["start"] <= one["start"] < s["end"] for s in spans)
        assert at_once <= 2
