"""One function over many shards as Ray tasks, its large inputs once in the object store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ray


def each(function: Callable[..., Any], shards: Sequence[Any], *shared: Any) -> list[Any]:
    """Call ``function(shard, *shared)`` for every shard; results in the order of the shards.

    A single shard runs in this process: a task of its own would only move its inputs. A lost task
    is retried by Ray; since shards are independent, their number changes no result.
    """
    if len(shards) == 1:
        return [function(shards[0], *shared)]
    stored = [ray.put(value) for value in shared]
    task = ray.remote(num_cpus=1, max_retries=3)(function)
    results: list[Any] = ray.get([task.remote(shard, *stored) for shard in shards])
    return results
