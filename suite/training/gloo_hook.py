"""Gradient exchange through the CPU, for devices that the process group does not support.

Gloo supports CPU tensors only, and Apple GPUs have no process group of their own.
"""

# DDP inspects the hook's annotations and needs classes: no `from __future__ import annotations`.
from torch import Tensor, distributed
from torch.distributed import GradBucket, ProcessGroup  # type: ignore[attr-defined]
from torch.futures import Future


def average_on_cpu(group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    """Average a bucket of gradients over the workers; a DDP communication hook.

    The arithmetic is that of DDP without a hook, so the result is bit-identical.

    Parameters
    ----------
    group
        Process group; None: all workers.
    bucket
        Gradients of this worker, on any device; replaced by the average.

    Returns
    -------
    Future
        Resolves to the bucket's buffer when it holds the average.
    """
    gradients = bucket.buffer()
    on_cpu = gradients.to("cpu", copy=True)
    on_cpu.mul_(1 / distributed.get_world_size(group))
    work = distributed.all_reduce(on_cpu, group=group, async_op=True)
    assert work is not None

    def back(_: Future[list[Tensor]]) -> Tensor:
        return gradients.copy_(on_cpu)

    done: Future[Tensor] = work.get_future().then(back)
    return done
