"""Parallel map of a function over shards as Ray tasks, sharing large inputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
import torch

from models.base import Model
from models.network import Network
from suite.cluster import memory

GPU_SHARE = 0.25
"""Share of a GPU per task: four tasks at once keep it busy while some move their inputs."""


def each(
    function: Callable[..., Any], shards: Sequence[Any], *shared: Any, gpu: bool
) -> Iterator[Any]:
    """Call ``function(shard, *shared)`` for every shard; yield results in the order of the shards.

    A result is released when the next one is requested. With ``gpu``, on a cluster with GPUs, each
    task holds a share of one. Otherwise a single shard runs in this process, as all do without a
    cluster: a separate task would only copy its inputs. A lost task is retried by Ray; since
    shards are independent, their number does not change a result.
    """
    resources = (
        ray.cluster_resources()  # type: ignore[no-untyped-call]
        if ray.is_initialized()
        else {}
    )
    gpus = resources.get("GPU", 0) if gpu else 0
    if not resources or (len(shards) == 1 and not gpus):
        for shard in shards:
            yield function(shard, *shared)
        return
    stored = [ray.put(value) for value in shared]
    task = ray.remote(num_cpus=1, num_gpus=GPU_SHARE if gpus else 0, max_retries=3)(_apart)
    waiting = deque(task.remote(function, shard, *stored) for shard in shards)
    while waiting:
        yield ray.get(waiting.popleft())


def on_gpu(model: Model) -> None:
    """Move a network to the GPU that this task has a share of, if any."""
    # Ray does not hide GPUs from a task that requested none.
    granted = torch.cuda.is_available() and (not ray.is_initialized() or ray.get_gpu_ids())
    if granted and isinstance(model, Network):
        full_float32()
        model.to("cuda")


def full_float32() -> None:
    """Disable TF32 on this process's GPU: it rounds float32 to a 10-bit mantissa.

    cuDNN's LSTM uses it by default.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a task, then return the memory it freed."""
    try:
        return function(*arguments)
    finally:
        memory.give_back()
