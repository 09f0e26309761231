"""One function over many shards as Ray tasks, its large inputs once in the object store."""

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
"""Of a GPU for each task: four shards at once keep one busy while others move their inputs."""


def each(
    function: Callable[..., Any], shards: Sequence[Any], *shared: Any, gpu: bool
) -> Iterator[Any]:
    """Call ``function(shard, *shared)`` for every shard; yield results in the order of the shards.

    A result is let go of once the next one is asked for. With ``gpu``, on a cluster that has some,
    a task holds a share of one. Otherwise a single shard runs in this process, as all do where
    there is no cluster: a task of its own would only move its inputs. A lost task is retried by
    Ray; since shards are independent, their number changes no result.
    """
    found = ray.cluster_resources() if ray.is_initialized() else {}  # type: ignore[no-untyped-call]
    gpus = found.get("GPU", 0) if gpu else 0
    if not found or (len(shards) == 1 and not gpus):
        for shard in shards:
            yield function(shard, *shared)
        return
    stored = [ray.put(value) for value in shared]
    task = ray.remote(num_cpus=1, num_gpus=GPU_SHARE if gpus else 0, max_retries=3)(_apart)
    waiting = deque(task.remote(function, shard, *stored) for shard in shards)
    while waiting:
        yield ray.get(waiting.popleft())


def on_gpu(model: Model) -> None:
    """Move a network to the GPU that this task holds a share of, if any."""
    # Ray does not hide the GPUs from a task that has asked for none.
    granted = torch.cuda.is_available() and (not ray.is_initialized() or ray.get_gpu_ids())
    if granted and isinstance(model, Network):
        full_float32()
        model.to("cuda")


def full_float32() -> None:
    """Forbid TF32 on this process's GPU: it rounds float32 to a mantissa of 10 bits.

    cuDNN's LSTM would use it unless told not to.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a task; its process then waits for the next one, with little memory."""
    try:
        return function(*arguments)
    finally:
        memory.give_back()
