"""Functions that run in several processes of one process group, as training workers do."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, multiprocessing

from suite import registry
from suite.training import batches, loop
from suite.training.loop import Worker


def together(jobs):
    """Run jobs one after the other, on as many processes as each asks for.

    A job is ``(world_size, function, *arguments)``; the function is called with rank and
    world_size first. Starting processes costs seconds, so all jobs share them. Returns what each
    rank returned, for each job.
    """
    folder = Path(tempfile.mkdtemp(prefix="lp-"))
    try:
        multiprocessing.spawn(_member, (str(folder), jobs), max(job[0] for job in jobs))
        return [
            [torch.load(folder / f"{number}-{rank}.pt", weights_only=False) for rank in range(size)]
            for number, (size, *_) in enumerate(jobs)
        ]
    finally:
        shutil.rmtree(folder)


def _member(rank, folder, jobs):
    torch.set_num_threads(1)
    for number, (world_size, function, *arguments) in enumerate(jobs):
        if rank >= world_size:
            continue
        distributed.init_process_group(
            "gloo",
            init_method=f"file://{folder}/{number}",
            rank=rank,
            world_size=world_size,
            timeout=timedelta(minutes=5),
        )
        torch.save(function(rank, world_size, *arguments), f"{folder}/{number}-{rank}.pt")
        distributed.destroy_process_group()


class KilledError(Exception):
    """Ends every copy of a run after an epoch."""


def trained(rank, world_size, features, model, training, url, **how):
    """The last checkpoint of a run, as every rank has it."""
    kill_after = how.pop("kill_after", None)

    def report(row):
        if row["epoch"] == kill_after:
            raise KilledError

    torch.manual_seed(0)
    network = registry.create("models", model.name, model.parameters)
    network.set_num_users(len(batches.users(features)))
    try:
        return loop.train(
            network,
            features,
            training,
            seed=0,
            worker=Worker(rank=rank, world_size=world_size, **how),
            checkpoint_url=url,
            report=report,
        )
    except KilledError:
        return None


def exchanged_on_cpu(rank, world_size, features, model, training, url):
    return trained(rank, world_size, features, model, training, url, exchange_on_cpu=True)


def killed(rank, world_size, features, model, training, url):
    """End after 4 epochs; every rank but the first finds an old checkpoint, as on a lazy disk."""
    trained(rank, world_size, features, model, training, url, kill_after=4)
    distributed.barrier()
    return trained(rank, world_size, features, model, training, url if rank == 0 else f"{url}.old")


def first_epochs(rank, world_size, features, model, training, url):
    return trained(rank, world_size, features, model, training, url, kill_after=4)
