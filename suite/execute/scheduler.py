"""Steps run as Ray tasks, in parallel where the cluster has room, again where one was lost."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import exceptions

from suite.cluster import connect, memory
from suite.execute.capacity import Room
from suite.execute.progress import Display
from suite.execute.timeline import Span, Timeline
from suite.plan import kinds as known
from suite.plan.plan import Step
from suite.spec import Compute
from suite.store.results import Store

ATTEMPTS = 4
"""Times that a step is started before its losses are taken for its own fault."""

LOST: dict[type[Exception], str] = {
    exceptions.OutOfMemoryError: "its host ran out of memory, so Ray killed it",
    exceptions.NodeDiedError: "its host died or was cut off",
    exceptions.LocalRayletDiedError: "Ray ended on its host",
    exceptions.WorkerCrashedError: "its process was killed or crashed",
    exceptions.RayActorError: "a process that it needs died",
    exceptions.ObjectLostError: "an object that it needs was lost with its host",
    exceptions.RuntimeEnvSetupError: "its host could not set up the working directory",
}
"""What may go well elsewhere or later, and how a person is told of it."""


def execute(
    steps: list[Step],
    store: Store,
    compute: Compute,
    display: Display,
    timeline: Timeline | None = None,
) -> dict[str, str]:
    """Run steps as Ray tasks, each after its inputs; return the reasons of those that failed.

    A step whose process or host is lost is started again, where there is room, up to ``ATTEMPTS``
    times. One for which the cluster has no room fails after ``compute.wait_s`` seconds of that.
    Steps that succeed are noted in the timeline.
    """
    run = _Run(steps, store, connect.fitting(compute), display, timeline or Timeline(0.0))
    while run.waiting or run.running:
        run.start()
        display.update([step.title for step in run.running.values()])
        run.collect()
    return run.failures


class _Run:
    """Steps on their way: waiting for their inputs, running, failed."""

    def __init__(
        self,
        steps: list[Step],
        store: Store,
        compute: Compute,
        display: Display,
        timeline: Timeline,
    ) -> None:
        self.waiting = {step.digest: step for step in steps}
        self.running: dict[Any, Step] = {}
        self.failures: dict[str, str] = {}
        self._attempts: Counter[str] = Counter()
        self._store, self._compute, self._display = store, compute, display
        self._room, self._timeline = Room(compute), timeline

    def start(self) -> None:
        """Start every step whose inputs are there; one whose input failed has failed too.

        On a cluster with GPUs no more than it has CPUs: there a step waits for a GPU without
        holding a CPU, so that Ray would start all of them, each with its inputs in memory.
        """
        most = max(1, connect.num_cpus()) if connect.num_gpus() else math.inf
        pending = self.waiting.keys() | {step.digest for step in self.running.values()}
        for step in [
            s for s in self.waiting.values() if not pending & {i.digest for i in s.inputs}
        ]:
            if len(self.running) >= most:
                return
            del self.waiting[step.digest]
            reasons = [self.failures[i.digest] for i in step.inputs if i.digest in self.failures]
            if reasons:
                self._ended(step, reasons[0], inherited=True)
            else:
                self._attempts[step.digest] += 1
                self.running[self._task(step)] = step

    def collect(self) -> None:
        """Wait a moment; take the steps that ended, that were lost, or that have no room."""
        done, _ = ray.wait(list(self.running), timeout=0.5) if self.running else ([], [])
        for ref in done:
            step = self.running.pop(ref)
            reason, lost = _outcome(ref)
            if lost:
                self._lost(step, str(reason))
                continue
            self._ended(step, reason)
            if reason is None:
                cpus = self._compute.most_cpus if step.kind == "fit" else 1
                self._timeline.add(replace(ray.get(ref), cpus=cpus))
        self._look()

    def _look(self) -> None:
        """Take the steps on hosts that were given up, and those that fit on no host."""
        if not self._room.look():
            return
        starts = {step.digest: self._start(step) for step in self.running.values()}
        for ref in self._room.lost(self.running, starts, self._display):
            ray.cancel(ref, force=True)
            self._lost(self.running.pop(ref), LOST[exceptions.NodeDiedError])
        for ref, reason in self._room.lacking(self.running, self._display):
            ray.cancel(ref, force=True)
            self._ended(self.running.pop(ref), reason)

    def _lost(self, step: Step, reason: str) -> None:
        count = self._attempts[step.digest]
        if count < ATTEMPTS:
            self._display.lost(step, f"{reason}; start {count + 1} of {ATTEMPTS}")
            self.waiting[step.digest] = step
        else:
            self._ended(step, f"{reason}, {count} times in all")

    def _start(self, step: Step) -> str:
        """Name of this start of a step."""
        return f"{step.digest} {self._attempts[step.digest]}"

    def _ended(self, step: Step, reason: str | None, *, inherited: bool = False) -> None:
        if reason is not None:
            self.failures[step.digest] = reason
        self._display.finished(step, reason, inherited=inherited)

    def _task(self, step: Step) -> Any:
        num_cpus, extra = 1, {}
        if step.kind == "fit":
            num_cpus = self._compute.task_cpus
            extra = {"compute": self._compute, "report": self._display.reporter(step)}
        # No retries by Ray: nobody sees them, and after a lack of memory they have no end.
        task = perform.options(num_cpus=num_cpus, max_retries=0)
        return task.remote(self._store, step, extra, self._display.beginner(self._start(step)))


@ray.remote(max_retries=3)
def perform(
    store: Store, step: Step, extra: dict[str, Any], place: Callable[[str], None] | None = None
) -> Span:
    """Run one step where Ray put it: say where, load its inputs, compute, keep the result."""
    begin = time.time()
    if place is not None:
        place(ray.get_runtime_context().get_node_id())
    folders = [store.path(i.kind, i.digest) for i in step.inputs]
    inputs = zip(step.inputs, folders, strict=True)
    loaded = [known.result(i.kind).load(folder) for i, folder in inputs]
    if step.kind == "fit":
        extra = {**extra, "scratch": store.scratch(step.digest)}
    start = time.perf_counter()
    result = known.function(step.kind)(*loaded, **step.arguments, **extra)
    seconds = time.perf_counter() - start
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


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _outcome(ref: Any) -> tuple[str | None, bool]:
    """Reason why a task failed, if it did, and whether it may go well at another time or place."""
    try:
        ray.get(ref)
    except exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        for kind, reason in LOST.items():
            if isinstance(cause, kind):
                return reason, True
        return _reason(cause), False
    return None, False


def _reason(cause: Exception) -> str:
    """First line of what went wrong in the task, without Ray's trace."""
    lines = [line.strip() for line in str(cause).strip().splitlines() if line.strip()]
    said = lines[-1] if isinstance(cause, exceptions.RayError) and lines else (lines or [""])[0]
    return said if isinstance(cause, ValueError) else f"{type(cause).__name__}: {said}"
