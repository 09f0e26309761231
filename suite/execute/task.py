"""One step, run as a Ray task."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import exceptions

from suite.cluster import memory
from suite.execute.timeline import Span
from suite.plan.kinds import KINDS
from suite.plan.step import Step
from suite.store import checksum
from suite.store.marker import DamagedError
from suite.store.results import Store

LOST: dict[type[Exception], str] = {
    exceptions.OutOfMemoryError: "its host ran out of memory, so Ray killed it",
    exceptions.NodeDiedError: "its host died or was cut off",
    exceptions.LocalRayletDiedError: "the Ray processes on its host died",
    exceptions.WorkerCrashedError: "its process was killed or crashed",
    exceptions.RayActorError: "a process that it needs died",
    exceptions.ObjectLostError: "an object that it needs was lost with its host",
    exceptions.RuntimeEnvSetupError: "its host could not set up the working directory",
}
"""Errors after which another attempt may succeed, and the reason shown for each."""


@ray.remote(max_retries=3)
def perform(
    store: Store, step: Step, extra: dict[str, Any], place: Callable[[str], None] | None = None
) -> Span:
    """Run one step: report the node, load its inputs, compute, store the result."""
    begin = time.time()
    if place is not None:
        place(ray.get_runtime_context().get_node_id())
    folders = [store.path(i.kind, i.digest) for i in step.inputs]
    inputs = zip(step.inputs, folders, strict=True)
    loaded = [KINDS[i.kind].load(folder) for i, folder in inputs]
    if KINDS[step.kind].scratch:
        extra = {**extra, "scratch": store.scratch(step.digest)}
    before = [_state(path) for path in step.files]
    start = time.perf_counter()
    result = KINDS[step.kind].run(*loaded, **step.arguments, **extra)
    seconds = time.perf_counter() - start
    _check_files(step, before)
    del loaded  # not held while the result is written
    with store.writing(step.kind, step.digest, {"seconds": seconds}) as folder:
        result.save(folder)
        written_bytes = _size_bytes(folder)
    store.clear(step.digest)
    del result
    memory.give_back()
    return Span(
        kind=step.kind,
        title=step.title,
        digest=step.digest,
        node=ray.util.get_node_ip_address(),  # type: ignore[no-untyped-call]
        start=begin,
        end=time.time(),
        compute_s=seconds,
        read_bytes=sum(map(_size_bytes, folders)),
        written_bytes=written_bytes,
        cpus=1,
    )


def _check_files(step: Step, before: list[tuple[int, ...] | None]) -> None:
    """Reject a result computed from other files than those in the step's digest.

    Each file is compared after it was read, and must not have been replaced in between.
    """
    for path, planned, state in zip(step.files, step.content, before, strict=True):
        if state is None or _state(path) != state or checksum.of_file(path) != planned:
            raise ValueError(
                f"{path}: replaced while the suite ran; no result of it was kept, rerun the same "
                "command to read it again"
            )


def _state(path: Path) -> tuple[int, ...] | None:
    """Return what distinguishes a file from its replacement; None if it does not exist."""
    try:
        return checksum.state(path)
    except FileNotFoundError:
        return None


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _outcome(ref: Any) -> tuple[str | None, Exception | None]:
    """Reason why a task failed, if it did, and the cause if another attempt may succeed."""
    try:
        ray.get(ref)
    except exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, DamagedError):
            return str(cause), cause
        for kind, reason in LOST.items():
            if isinstance(cause, kind):
                return reason, cause
        return _reason(cause), None
    return None, None


def _reason(cause: Exception) -> str:
    """First line of the task's error, without Ray's traceback."""
    lines = [line.strip() for line in str(cause).strip().splitlines() if line.strip()]
    line = lines[-1] if isinstance(cause, exceptions.RayError) and lines else (lines or [""])[0]
    return line if isinstance(cause, ValueError) else f"{type(cause).__name__}: {line}"
