"""Run steps as Ray tasks, in parallel as resources allow, and retry those that were lost."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import ray
from ray import exceptions

from suite.cluster import connect
from suite.cluster.settings import Compute
from suite.execute.capacity import Capacity
from suite.execute.events import Events
from suite.execute.progress import Display
from suite.execute.task import LOST, _outcome, perform
from suite.execute.timeline import Timeline
from suite.plan.kinds import KINDS
from suite.plan.recovery import unfinished
from suite.plan.step import Step
from suite.store.marker import DamagedError
from suite.store.results import Store

ATTEMPTS = 4
"""Attempts at a step before it fails because its process or host was lost each time."""


def execute(
    steps: list[Step],
    store: Store,
    compute: Compute,
    display: Display,
    timeline: Timeline | None = None,
) -> dict[str, str]:
    """Run steps as Ray tasks, each after its inputs; return the reasons of those that failed.

    A step whose process or host is lost is attempted up to ``ATTEMPTS`` times, on any host with
    the resources; so is a step with a damaged input, which is removed and computed again first.
    A step fails after waiting ``compute.wait_s`` seconds for resources that the cluster does not
    have. Steps that succeed are added to the timeline.
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
    """The state of an execution: steps that wait for their inputs, that run and that failed."""

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
        self._capacity, self._timeline = Capacity(compute), timeline

    def start(self) -> None:
        """Start every step whose inputs are finished; fail those with a failed input.

        On a cluster with GPUs at most as many steps run as it has CPUs: a step there waits for a
        GPU without holding a CPU, so Ray would start them all, each with its inputs in memory.
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
        """Wait briefly, then handle steps that ended, were lost or waited too long."""
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
        self._check_hosts()

    def _check_hosts(self) -> None:
        """Handle steps on dead hosts, and those that no live host has the resources for."""
        if not self._capacity.refresh():
            return
        attempts = {step.digest: self._attempt(step) for step in self.running.values()}
        for ref in self._capacity.lost(self.running, attempts, self._events.places):
            ray.cancel(ref, force=True)
            self._lost(self.running.pop(ref), LOST[exceptions.NodeDiedError])
        for ref, reason in self._capacity.overdue(self.running, self._display.warn):
            ray.cancel(ref, force=True)
            self._ended(self.running.pop(ref), reason)

    def _lost(self, step: Step, reason: str) -> None:
        count = self._attempts[step.digest]
        if count < ATTEMPTS:
            self._display.warn(step, f"{reason}; attempt {count + 1} of {ATTEMPTS}")
            self.waiting[step.digest] = step
        else:
            self._ended(step, f"{reason}, in each of {count} attempts")

    def _damaged(self, step: Step, error: DamagedError) -> None:
        """Schedule the input that a step could not load, and then the step, to run again."""
        # Another step may have found the damage first; a result computed since must stay.
        if self._store.fault(error.kind, error.digest, hashed=True):
            self._store.remove(error.kind, error.digest)
        self._lost(step, f"{error}; removed and computed again")
        if step.digest in self.waiting:
            busy = self.waiting.keys() | {running.digest for running in self.running.values()}
            again = [s for s in unfinished(list(step.inputs), self._store) if s.digest not in busy]
            self.waiting |= {s.digest: s for s in again}
            self._display.added(len(again))

    def _attempt(self, step: Step) -> str:
        """Return the identifier of the current attempt at a step."""
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
        # No retries by Ray: they are invisible, and unlimited after running out of memory.
        task = perform.options(num_cpus=num_cpus, max_retries=0)
        return task.remote(self._store, step, extra, self._events.beginner(self._attempt(step)))
