"""The training loop of every torch model, in plain torch: it runs with or without Ray.

The global batch is determined by (seed, epoch) alone and then distributed to the workers, so the
loss curve does not depend on their number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import distributed, nn

from models.base import Batch
from models.network import Network, TensorBatch, tensors
from suite.artifacts.features import Features
from suite.store import checkpoints
from suite.training import batches, seeds
from suite.training.gloo_hook import average_on_cpu
from suite.training.private import dp_sgd
from suite.training.scores import mean_auc
from suite.training.settings import Training

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Worker:
    """One process that runs the loop.

    Attributes
    ----------
    rank, world_size
        As in ``torch.distributed``; there is a process group if the world size exceeds 1.
    device
        Device of the network.
    exchange_on_cpu
        Whether gradients are exchanged through the CPU, because the process group does not
        support the device.
    compile
        Whether to compile the training step.
    """

    rank: int = 0
    world_size: int = 1
    device: str = "cpu"
    exchange_on_cpu: bool = False
    compile: bool = False


class DivergedError(ValueError):
    """A loss or a score is not finite; a retry would not help."""


def train(
    network: Network,
    features: Features,
    training: Training,
    *,
    seed: int,
    worker: Worker,
    checkpoint_url: str,
    report: Report,
    window: str = "train",
) -> dict[str, Any]:
    """Fit a network, from its last finished epoch if there is a checkpoint.

    Parameters
    ----------
    network
        Trained in place; the weights of the best epoch are in the result.
    features
        Trained users' train events are fitted, their validation events select the epoch.
    training
        Schedule and batch sizes.
    seed
        Determines the batches and the dropout of each epoch.
    worker
        The process this is.
    checkpoint_url
        File that rank 0 writes after each epoch.
    report
        Called by every rank after each epoch: epoch (from 1), epochs, loss, validation_auc, and
        examples_per_s of all workers together.
    window
        Window whose events of trained users are fitted. If it is not train, no epoch is selected:
        the last one counts as the best, and the rows have no validation_auc. Nor is one selected
        in private training.

    Returns
    -------
    dict
        The last checkpoint: ``best`` (weights of the best epoch by validation AUC), ``history``.

    Raises
    ------
    DivergedError
        On every rank, if the loss or the scores are not finite after an epoch.
    """
    dtype = torch.float64 if training.precision == "float64" else torch.float32
    network.to(worker.device, dtype)
    private = dp_sgd(network, features, training, seed)
    parallel = _parallel(network, worker)
    groups = network.parameter_groups(training.learning_rate)
    optimizer = torch.optim.AdamW(
        groups, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["max_lr"] for group in groups],
        total_steps=training.epochs * len(_batches(features, training, seed, 0, window)),
        pct_start=training.pct_start,
    )
    state = _checkpoint(checkpoint_url, worker)
    if state is None:
        state = {"epoch": 0, "best_auc": -1.0, "stale": 0, "best": {}, "history": []}
    else:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
    weight = torch.tensor(
        positive_weight(features, network.num_labels), device=worker.device, dtype=dtype
    )

    while state["epoch"] < training.epochs and state["stale"] < training.patience:
        epoch = state["epoch"]
        # Dropout must not change with a resume, but differ between epochs and workers.
        entropy = seeds.sequence(seed, epoch, worker.rank)
        torch.manual_seed(int(entropy.generate_state(1)[0]))
        start = time.perf_counter()
        plan = _batches(features, training, seed, epoch, window)
        if private is None:
            loss = _epoch(parallel, features, plan, weight, optimizer, schedule, worker, training)
        else:
            steps = private.steps(network, features, weight, epoch, worker.rank, worker.world_size)
            loss = _private_epoch(network, steps, optimizer, schedule)
        seconds = time.perf_counter() - start
        row = {"epoch": epoch + 1, "loss": loss}
        # An epoch that validation events select would depend on them, outside the guarantee.
        better = window != "train" or private is not None
        if window == "train":
            auc = validation_auc(network, features, worker)
            row["validation_auc"] = auc
            better = better or auc > state["best_auc"]
        row["examples_per_s"] = sum(len(rows) for rows in plan) / seconds
        state = {
            "epoch": epoch + 1,
            "best_auc": max(row.get("validation_auc", -1.0), state["best_auc"]),
            "stale": 0 if better else state["stale"] + 1,
            "best": _state_copy(network) if better else state["best"],
            "history": [*state["history"], row],
            "network": _state_copy(network),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        }
        if worker.rank == 0:
            checkpoints.save(checkpoint_url, state)
        report({**row, "epochs": training.epochs})
    return state


def positive_weight(features: Features, num_labels: int) -> NDArray[np.float32]:
    """Ratio of negatives to positives of each label in trained users' train events, ``(L,)``."""
    rows = batches.rows(features, "train", trained=True)
    positives = features.labels[rows, :num_labels].mean(axis=0, dtype=np.float64)
    weight: NDArray[np.float32] = ((1 - positives) / positives).astype(np.float32)
    return weight


def validation_auc(network: Network, features: Features, worker: Worker) -> float:
    """``mean_auc`` over trained users' validation events, computed by all workers."""
    rows = batches.rows(features, "validation", trained=True)
    chunks = list(batches.chunks(features, rows, size=batches.EVENTS_AT_ONCE))
    mine = [
        network.score(batches.gather(features, chunk))
        for chunk in chunks[worker.rank :: worker.world_size]
    ]
    scores = [mine]
    if worker.world_size > 1:
        scores = [[] for _ in range(worker.world_size)]
        distributed.all_gather_object(scores, mine)
    in_order = [scores[i % worker.world_size][i // worker.world_size] for i in range(len(chunks))]
    labels, logits = features.labels[np.concatenate(chunks)], np.concatenate(in_order)
    if not np.isfinite(logits).all():
        raise DivergedError("training diverged: validation scores are NaN; lower learning_rate")
    return mean_auc(labels, logits)


def _parallel(network: Network, worker: Worker) -> nn.Module:
    """Wrap a network so that its gradients are averaged over the workers."""
    module: nn.Module = network
    if worker.world_size > 1:
        # DDP's initial broadcast fails on an unsupported device. It is not needed: the weights are
        # equal already, by the seed or the checkpoint.
        ddp = nn.parallel.DistributedDataParallel(network, init_sync=not worker.exchange_on_cpu)
        if worker.exchange_on_cpu:
            ddp.register_comm_hook(None, average_on_cpu)
        module = ddp
    # Batches differ in their numbers of users and events, which must not cause recompilation.
    if worker.compile:
        return torch.compile(module, dynamic=True)  # type: ignore[return-value]
    return module


def _checkpoint(checkpoint_url: str, worker: Worker) -> dict[str, Any] | None:
    """Load the checkpoint on rank 0 for all: on a shared disk others may see an older one."""
    state = [checkpoints.load(checkpoint_url) if worker.rank == 0 else None]
    if worker.world_size > 1:
        distributed.broadcast_object_list(state)
    return state[0]


def _batches(
    features: Features, training: Training, seed: int, epoch: int, window: str
) -> list[NDArray[np.int64]]:
    return batches.training_batches(
        features,
        seed=seed,
        epoch=epoch,
        size=training.batch_size,
        cap=training.user_cap,
        window=window,
    )


def _epoch(
    parallel: nn.Module,
    features: Features,
    plan: list[NDArray[np.int64]],
    weight: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    worker: Worker,
    training: Training,
) -> float:
    """Make one pass; return the mean loss per event over all workers."""
    parallel.train()
    users = batches.users(features)
    losses = []
    for rows in plan:
        mine = batches.deal(rows, features, worker.world_size)[worker.rank]
        # A worker without events must still take part in the gradient exchange.
        share = 1.0 if len(mine) else 0.0
        pieces = _pieces(features, mine if len(mine) else rows[:1], training.micro_batch_size)
        optimizer.zero_grad(set_to_none=True)
        for number, piece in enumerate(pieces, start=1):
            batch = _to_device(batches.gather(features, piece, users), worker.device, weight.dtype)
            with _gradient_sync(parallel, number == len(pieces)):
                local = share * _loss(parallel, batch, weight, training.precision == "bf16")
                # DDP averages over the workers; the loss is the mean over the events.
                torch.autograd.backward(worker.world_size * local / len(rows))
            losses.append(local.detach())
        optimizer.step()
        schedule.step()
    # Read only here: reading at each step would synchronize a GPU.
    total = torch.tensor(sum(torch.stack(losses).tolist()), dtype=torch.float64)
    if worker.world_size > 1:
        distributed.all_reduce(total)
    return _finite(float(total) / sum(len(rows) for rows in plan))


def _private_epoch(
    network: Network,
    steps: Iterator[tuple[float, int]],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    """Make one pass of noisy steps; return the mean loss per sampled unit over all workers."""
    network.train()
    total, count = 0.0, 0
    for loss, size in steps:
        optimizer.step()
        schedule.step()
        total, count = total + loss, count + size
    return _finite(total / max(count, 1))


def _finite(mean: float) -> float:
    if not math.isfinite(mean):
        raise DivergedError(
            f"training diverged: the loss of an epoch is {mean}; lower learning_rate"
        )
    return mean


def _pieces(
    features: Features, rows: NDArray[np.int64], size: int | None
) -> list[NDArray[np.int64]]:
    """Split a worker's events into micro-batches of whole histories."""
    return [rows] if size is None else list(batches.chunks(features, rows, size=size))


def _gradient_sync(parallel: nn.Module, now: bool) -> AbstractContextManager[None]:
    """Synchronize gradients over the workers now, or accumulate them locally."""
    # A compiled module wraps the DDP module.
    module = getattr(parallel, "_orig_mod", parallel)
    if now or not isinstance(module, nn.parallel.DistributedDataParallel):
        return nullcontext()
    return module.no_sync()


def _loss(
    parallel: nn.Module, batch: TensorBatch, weight: torch.Tensor, bf16: bool
) -> torch.Tensor:
    """Sum of the weighted cross entropy over events, labels and members, and of the penalties."""
    with torch.autocast(batch.labels.device.type, torch.bfloat16, enabled=bf16):
        _, logits, *penalties = parallel(batch)
        entropy = F.binary_cross_entropy_with_logits(
            logits,
            batch.labels[:, : logits.shape[-1]].expand_as(logits),
            pos_weight=weight,
            reduction="sum",
        )
        return sum((penalty.sum() for penalty in penalties), start=entropy)


def _to_device(batch: Batch, device: str, dtype: torch.dtype) -> TensorBatch:
    """Copy a batch to the device; to a GPU, while it computes on an earlier one."""
    if not device.startswith("cuda"):
        return tensors(batch, device, dtype)
    on_cpu = tensors(batch, "cpu", dtype)
    pinned = {f.name: getattr(on_cpu, f.name).pin_memory() for f in fields(on_cpu)}
    return TensorBatch(**{k: v.to(device, non_blocking=True) for k, v in pinned.items()})


def _state_copy(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
