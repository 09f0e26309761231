"""Steps run as Ray tasks, in parallel where the cluster has room, again where one was lost."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import ray
from ray import exceptions

from suite.cluster import connect
from suite.cluster.settings import Compute
from suite.execute.capacity import Room
from suite.execute.events import Events
from suite.execute.progress import Display
from suite.execute.task import LOST, _outcome, perform
from suite.execute.timeline import Timeline
from suite.plan.kinds import KINDS
from suite.plan.plan import Step
from suite.plan.recovery import unfinished
from suite.store.marker import DamagedError
from suite.store.results import Store

ATTEMPTS = 4
"""Times that a step is started before its losses are taken for its own fault."""


def execute(
    steps: list[Step],
    store: Store,
    compute: Compute,
    display: Display,
    timeline: Timeline | None = None,
) -> dict[str, str]:
    """Run steps as Ray tasks, each after its inputs; return the reasons of those that failed.

    A step whose process or host is lost is started again, where there is room, up to ``ATTEMPTS``
    times; so is one that finds an input damaged, after that was removed and computed again. One for
    which the cluster has no room fails after ``compute.wait_s`` seconds of that.
    Steps that succeed are noted in the timeline.
    """
    events = Events()
    run = _Run(steps, store, connect.fitting(compute), events, display, timeline or Timeline(0.0))
    while run.waiting or run.running:
        run.start()
        display.update(events.epochs(), [step.title for step in run.running.values()])
        run.collect()
    display.update(events.epochs(), [])
    return run.failures


class _Run:
    """Steps on their way: waiting for their inputs, running, failed."""

    def __init__(
        self,
        steps: list[Step],
        store: Store,
        compute: Compute,
        events: Events,
        display: Display,
        timeline: Timeline,
    ) -> None:
        self.waiting = {step.digest: step for step in steps}
        self.running: dict[Any, Step] = {}
        self.failures: dict[str, str] = {}
        self._attempts: Counter[str] = Counter()
        self._store, self._compute = store, compute
        self._events, self._display = events, display
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
            reason, cause = _outcome(ref)
            if isinstance(cause, DamagedError):
                self._damaged(step, cause)
                continue
            if cause is not None:
                self._lost(step, str(reason))
                continue
            self._ended(step, reason)
            if reason is None:
                cpus = self._compute.most_cpus if KINDS[step.kind].trains else 1
                self._timeline.add(replace(ray.get(ref), cpus=cpus))
        self._look()

    def _look(self) -> None:
        """Take the steps on hosts that were given up, and those that fit on no host."""
        if not self._room.look():
            return
        starts = {step.digest: self._start(step) for step in self.running.values()}
        for ref in self._room.lost(self.running, starts, self._events.places):
            ray.cancel(ref, force=True)
            self._lost(self.running.pop(ref), LOST[exceptions.NodeDiedError])
        for ref, reason in self._room.lacking(self.running, self._display.lost):
            ray.cancel(ref, force=True)
            self._ended(self.running.pop(ref), reason)

    def _lost(self, step: Step, reason: str) -> None:
        count = self._attempts[step.digest]
        if count < ATTEMPTS:
            self._display.lost(step, f"{reason}; start {count + 1} of {ATTEMPTS}")
            self.waiting[step.digest] = step
        else:
            self._ended(step, f"{reason}, {count} times in all")

    def _damaged(self, step: Step, error: DamagedError) -> None:
        """Compute again what a step could not load, and then the step."""
        # Another step may have found the same, and what it was replaced by must stay.
        if self._store.fault(error.kind, error.digest, hashed=True):
            self._store.remove(error.kind, error.digest)
        self._lost(step, f"{error}; removed, to be computed again")
        if step.digest in self.waiting:
            busy = self.waiting.keys() | {running.digest for running in self.running.values()}
            again = [s for s in unfinished(list(step.inputs), self._store) if s.digest not in busy]
            self.waiting |= {s.digest: s for s in again}
            self._display.added(len(again))

    def _start(self, step: Step) -> str:
        """Name of this start of a step."""
        return f"{step.digest} {self._attempts[step.digest]}"

    def _ended(self, step: Step, reason: str | None, *, inherited: bool = False) -> None:
        if reason is not None:
            self.failures[step.digest] = reason
        self._display.finished(step, reason, inherited=inherited)

    def _task(self, step: Step) -> Any:
        kind, num_cpus = KINDS[step.kind], 1
        extra: dict[str, Any] = {}
        if kind.trains:
            num_cpus, extra["compute"] = self._compute.task_cpus, self._compute
        if kind.reports:
            extra["report"] = self._events.reporter(step.title)
        # No retries by Ray: nobody sees them, and after a lack of memory they have no end.
        task = perform.options(num_cpus=num_cpus, max_retries=0)
        return task.remote(self._store, step, extra, self._events.beginner(self._start(step)))
