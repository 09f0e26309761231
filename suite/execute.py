"""Steps run as Ray tasks, in parallel where the cluster has room."""

from __future__ import annotations

import time
from typing import Any

import ray

from suite import cluster
from suite import steps as known
from suite.plan import Step
from suite.progress import Display
from suite.spec import Compute
from suite.store import Store


def execute(steps: list[Step], store: Store, compute: Compute, display: Display) -> dict[str, str]:
    """Run steps as Ray tasks, each after its inputs; return the reasons of those that failed."""
    compute = cluster.fitting(compute)
    running: dict[Any, Step] = {}
    refs: dict[str, Any] = {}
    for step in steps:
        waits_for = [refs[i.digest] for i in step.inputs if i.digest in refs]
        num_cpus, extra = 1, {}
        if step.kind == "fit":
            num_cpus = compute.task_cpus
            extra = {"compute": compute, "report": display.reporter(step)}
        task = perform.options(num_cpus=num_cpus)
        refs[step.digest] = task.remote(store, step, extra, *waits_for)
        running[refs[step.digest]] = step
    failures: dict[str, str] = {}
    while running:
        done, _ = ray.wait(list(running), timeout=0.5)
        display.update()
        for ref in done:
            step = running.pop(ref)
            try:
                ray.get(ref)
            except ray.exceptions.RayError as error:
                failures[step.digest] = _reason(error)
            inherited = any(needed.digest in failures for needed in step.inputs)
            display.finished(step, failures.get(step.digest), inherited=inherited)
    return failures


@ray.remote(max_retries=3)
def perform(store: Store, step: Step, extra: dict[str, Any], *_inputs_done: None) -> None:
    """Run one step where Ray put it: load its inputs, compute, keep the result."""
    loaded = [known.result(i.kind).load(store.path(i.kind, i.digest)) for i in step.inputs]
    if step.kind == "fit":
        extra = {**extra, "scratch": store.scratch(step.digest)}
    start = time.perf_counter()
    result = known.function(step.kind)(*loaded, **step.arguments, **extra)
    with store.writing(step.kind, step.digest, {"seconds": time.perf_counter() - start}) as folder:
        result.save(folder)
    store.clear(step.digest)


def _reason(error: Exception) -> str:
    """First line of what went wrong in the task, without Ray's trace."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).strip().splitlines() if line.strip()]
    said = lines[-1] if isinstance(cause, ray.exceptions.RayError) and lines else (lines or [""])[0]
    return said if isinstance(cause, ValueError) else f"{type(cause).__name__}: {said}"
