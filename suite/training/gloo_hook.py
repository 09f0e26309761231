"""Gradients exchanged through the CPU, for devices that the process group cannot reach.

Gloo carries CPU tensors only, and Apple's GPU has no process group of its own.
"""

# DDP reads the hook's annotations, which must be classes: no `from __future__ import annotations`.
from torch import Tensor, distributed
from torch.distributed import GradBucket, ProcessGroup  # type: ignore[attr-defined]
from torch.futures import Future


def average_on_cpu(group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    """Average a bucket of gradients over the workers; a DDP communication hook.

    The arithmetic is that of DDP without a hook, so the result is the same bit for bit.

    Parameters
    ----------
    group
        Workers that take part; None for all.
    bucket
        Gradients of this worker, on any device; replaced by the average.

    Returns
    -------
    Future
        The bucket's buffer, once it holds the average.
    """
    gradients = bucket.buffer()
    staged = gradients.to("cpu", copy=True)
    staged.mul_(1 / distributed.get_world_size(group))
    work = distributed.all_reduce(staged, group=group, async_op=True)
    assert work is not None

    def back(_: Future[list[Tensor]]) -> Tensor:
        return gradients.copy_(staged)

    done: Future[Tensor] = work.get_future().then(back)
    return done
