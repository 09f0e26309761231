"""Report on this machine and on what a suite would use."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from suite.cli.options import Storage

app = typer.Typer()

GIB = 2**30


@app.command()
def doctor(storage: Storage = None) -> None:
    """Report what this machine has, and what latentprint will use."""
    from suite.publish.places import storage_url

    show(storage_url(storage))


def show(storage: str) -> None:
    """Print findings and consequences, one line each."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "found", "so")
    for line in findings(storage):
        table.add_row(*line)
    Console().print(table)


def findings(storage: str) -> list[tuple[str, str, str]]:
    """List findings and consequences as ``(what, found, so)``."""
    return [
        ("python", platform.python_version(), f"{platform.system()} {platform.machine()}"),
        _processor(),
        _accelerator(),
        _ray(),
        _faiss(),
        ("mlflow", _version("mlflow"), "tracks to sqlite:///<storage>/mlflow.db by default"),
        _memory(),
        _disk(storage),
    ]


def _processor() -> tuple[str, str, str]:
    has_affinity = hasattr(os, "sched_getaffinity")
    granted = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return "processor", f"{granted} cores", f"{granted} models train at a time, one core each"


def _accelerator() -> tuple[str, str, str]:
    import torch

    from suite.cluster.accelerators import resolved

    used = resolved("auto")
    found = {"mps": "Apple GPU", "cpu": "none"}.get(used)
    if found is None:
        found = f"{torch.cuda.device_count()} x {torch.cuda.get_device_properties(0).name}"
    return "accelerator", found, f"torch {torch.__version__} computes on {used}"


def _ray() -> tuple[str, str, str]:
    where = os.environ.get("RAY_ADDRESS")
    return "ray", _version("ray"), f"joins {where}" if where else "starts a local cluster"


def _faiss() -> tuple[str, str, str]:
    from attacks.ranks import neighbors

    try:
        found = neighbors.build()
    except ImportError:
        return "faiss", "none", "no top-k lists: install the extra cpu or gpu"
    return "faiss", found, "top-k lists; not needed for exact ranks"


def _memory() -> tuple[str, str, str]:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    so = "enough for quick and kuairand" if memory.available > 4 * GIB else "4 GiB recommended"
    return "memory", found, so


def _disk(storage: str) -> tuple[str, str, str]:
    if "://" in storage:
        return "storage", storage, "an object store: free space unknown"
    folder = Path(storage).resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    so = "enough" if free > GIB else "1 GiB recommended"
    return "storage", f"{folder}, {free / GIB:.1f} GiB free", so


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
