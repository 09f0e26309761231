"""The stand-in for Apple's GPU is torch's lazy device: it runs on this machine, its tensors are
not CPU tensors, and gloo cannot average them.
"""

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from suite.training.gloo_hook import average_on_cpu
from tests.workers import together

STEPS = 5


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.SiLU(), nn.Linear(7, 2))


def gradients(module):
    return [parameter.grad.cpu().clone() for parameter in module.parameters()]


def backward(module, rank, step, device):
    inputs = np.random.default_rng([rank, step]).normal(size=(8, 5)).astype(np.float32)
    module.zero_grad(set_to_none=True)
    module(torch.tensor(inputs, device=device)).square().mean().backward()
    return gradients(module)


def averages(rank, device, *, staged):
    """Averaged gradients, what each rank alone computes, and where the averaging took place."""
    if device == "lazy":
        from torch._lazy import ts_backend

        ts_backend.init()
    alone, shared = network().to(device), network().to(device)
    seen = []
    if staged:
        reduce = distributed.all_reduce

        def watched(tensor, **options):
            seen.append(tensor.device.type)
            return reduce(tensor, **options)

        distributed.all_reduce = watched
    # Buckets of lazy tensors cannot be laid out anew after the first step, which this prevents.
    ddp = DistributedDataParallel(
        shared, init_sync=not staged, find_unused_parameters=device == "lazy"
    )
    if staged:
        ddp.register_comm_hook(None, average_on_cpu)
    found = [
        (backward(ddp, rank, step, device), backward(alone, rank, step, device))
        for step in range(STEPS)
    ]
    if staged:
        distributed.all_reduce = reduce
    return {"found": found, "seen": seen, "device": next(shared.parameters()).device.type}


def plain(rank, _world_size):
    return averages(rank, "cpu", staged=False)


def staged_on(rank, _world_size, device):
    return averages(rank, device, staged=True)


@pytest.fixture(scope="module")
def ran():
    jobs = {
        ("plain", 2): (2, plain),
        ("plain", 3): (3, plain),
        ("cpu", 2): (2, staged_on, "cpu"),
        ("cpu", 3): (3, staged_on, "cpu"),
        ("lazy", 2): (2, staged_on, "lazy"),
    }
    return dict(zip(jobs, together(list(jobs.values())), strict=True))


def equal(some, others):
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("world_size", [2, 3])
def test_staged_gradients_are_those_of_plain_ddp_bit_for_bit(ran, world_size):
    for staged, unstaged in zip(ran["cpu", world_size], ran["plain", world_size], strict=True):
        for (found, _), (expected, _) in zip(staged["found"], unstaged["found"], strict=True):
            assert equal(found, expected)


@pytest.mark.parametrize("job", [("cpu", 2), ("lazy", 2)])
def test_staged_gradients_are_the_mean_over_the_workers_bit_for_bit(ran, job):
    first, second = ran[job]
    for (found, mine), (same, theirs) in zip(first["found"], second["found"], strict=True):
        assert equal(found, [a / 2 + b / 2 for a, b in zip(mine, theirs, strict=True)])
        assert equal(found, same)
        assert not equal(found, mine)


@pytest.mark.parametrize("device", ["cpu", "lazy"])
def test_the_all_reduce_sees_cpu_tensors_whatever_the_device(ran, device):
    for rank in ran[device, 2]:
        assert rank["device"] == device
        assert set(rank["seen"]) == {"cpu"}
        assert len(rank["seen"]) >= STEPS
