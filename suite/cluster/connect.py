"""Connection to the Ray cluster that a suite runs on, local or existing."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any
from urllib.parse import urlsplit

import ray

from suite.cluster import accelerators
from suite.cluster.settings import Compute


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a Ray cluster for the duration of the block.

    Parameters
    ----------
    address
        ``auto``, ``host:port`` or ``local``; None uses the cluster of ``ray job submit`` if inside
        a job, and otherwise starts a local one that ends with the block. An existing connection
        is reused.

    Raises
    ------
    ConnectionError
        There is no cluster at the address (the message says how to start one), or it was lost.
    """
    if ray.is_initialized():
        yield
        return
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        if where not in ("auto", "local"):
            _check_listening(where)
        _init(where)
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if where == "local":
            raise ConnectionError(
                f"Ray did not start on this machine in two attempts: {lines[0][:160]}"
            ) from None
        named, instead = "", "leave --address out"
        if not address:
            named, instead = " (named by RAY_ADDRESS)", "unset RAY_ADDRESS"
        msg = (
            f"no Ray cluster at {where!r}{named}: {lines[0][:160]}; start one with "
            f"'ray start --head' on this machine, or {instead}; a cluster with a token "
            "needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH"
        )
        raise ConnectionError(msg) from None
    # Ray prints events of its workers to stdout, which is for results.
    with redirect_stdout(sys.stderr):
        try:
            yield
        except ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            msg = (
                f"the Ray cluster at {where!r} was lost: {lines[0][:160]}; rerun the same command "
                "to resume"
            )
            raise ConnectionError(msg) from None
        finally:
            ray.shutdown()


def _init(where: str) -> None:
    """Start Ray or connect to it; keep the SIGTERM handler."""
    handled = signal.getsignal(signal.SIGTERM)
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if where == "local":
        settings["include_dashboard"] = False
    try:
        ray.init(address=where, **settings)
    except Exception:  # Ray raises no narrower type when its processes are slow
        if where != "local":
            raise
        # Ray's limit of 30 s is too short on a loaded machine.
        ray.shutdown()
        ray.init(address=where, **settings)
    if callable(handled) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handled)


def fitting(compute: Compute) -> Compute:
    """Resolve the accelerator, and limit a worker's CPUs to those of the largest node that has it.

    Ray would wait for ever for more.
    """
    accelerator = accelerators.resolved(compute.accelerator)
    resources = [node["Resources"] for node in accelerators.living()]
    having = [r for r in resources if accelerator != "cuda" or r.get("GPU", 0)] or resources
    largest = max((int(r.get("CPU", 1)) for r in having), default=1)
    cpus = min(compute.cpus_per_worker, max(largest, 1))
    return compute.model_copy(update={"cpus_per_worker": cpus, "accelerator": accelerator})


def num_cpus() -> int:
    """Total number of CPUs of the connected cluster."""
    return int(_resources().get("CPU", 0))


def num_gpus() -> int:
    """Total number of GPUs of the connected cluster, Apple GPUs included."""
    return int(_resources().get("GPU", 0))


def _resources() -> dict[str, float]:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources


def _check_listening(address: str) -> None:
    """Fail at once if nothing listens at the address: Ray would try for minutes."""
    at = urlsplit(address if "://" in address else f"//{address}")
    if at.hostname is None or at.port is None:
        raise ValueError("allowed: auto, local or host:port")
    socket.create_connection((at.hostname, at.port), timeout=5).close()
