"""From a suite to its leaderboard. Read this first.

Each cell is a chain of steps: features -> fit -> represent -> attack -> measure. A step is a pure
function of its inputs, named by a digest of all it depends on; its result is kept in the store and
never computed twice. Steps that are missing run as Ray tasks, in parallel where the cluster has
room; when none is missing, Ray is not started. Only this file knows the store and the tracker.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from rich.console import Console

from suite import (
    analysis,
    attribution,
    cluster,
    differences,
    measure,
    plan,
    prepare,
    record,
    represent,
    tracking,
    train,
)
from suite import attack as attacking
from suite.features import Features
from suite.leaderboard import Leaderboard
from suite.plan import Step
from suite.progress import Display
from suite.spec import Compute, Suite
from suite.store import Store

FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "features": (prepare.prepare, Features),
    "half": (prepare.half, Features),
    "fit": (train.fit, train.Fitted),
    "represent": (represent.represent, represent.Representation),
    "attack": (attacking.attack, attacking.Outcome),
    "measure": (measure.measure, measure.Measures),
    "best": (measure.best, measure.Measures),
    "differences": (differences.differences, differences.Differences),
    "attribution": (attribution.attribution, attribution.Attribution),
}
"""Step -> its function, and the type of its result, which saves and loads itself."""


def run(
    suite: Suite, store: Store, *, tracking_uri: str, address: str | None, console: Console
) -> Leaderboard:
    """Run what is missing of a suite, and publish and return its leaderboard.

    Parameters
    ----------
    suite
        What to run.
    store
        Where results are kept; a killed run continues from there.
    tracking_uri
        MLflow store.
    address
        Ray cluster, see ``suite.cluster``.
    console
        Where progress is shown.

    Returns
    -------
    Leaderboard
        One row per cell. A failed cell has its reason; the others are complete.

    Raises
    ------
    ValueError
        The suite or its data is wrong, or nothing answers at the tracking URI; no cell was started.
    """
    plans = plan.plans(suite)
    tracking.check(tracking_uri)
    failures: dict[str, str] = {}
    together = analysis.analyses(plans, suite.bootstrap)
    missing = unfinished([p.last for p in plans] + [a.step for a in together], store)
    if missing:
        with cluster.connected(address), Display(console, len(missing)) as display:
            data = [step for step in missing if step.kind == "features"]
            for reason in execute(data, store, suite.compute, display).values():
                raise ValueError(reason)
            rest = [step for step in missing if step.kind != "features"]
            failures = execute(rest, store, suite.compute, display)
    return record.record(suite.suite, plans, together, store, failures, tracking_uri)


def unfinished(wanted: list[Step], store: Store) -> list[Step]:
    """List the steps that have to run, each once, fits before what needs less time."""
    found: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.digest not in found and not store.has(step.kind, step.digest):
            for needed in step.inputs:
                visit(needed)
            found[step.digest] = step

    for step in wanted:
        visit(step)
    order = list(FUNCTIONS)
    return sorted(found.values(), key=lambda step: order.index(step.kind))


def execute(steps: list[Step], store: Store, compute: Compute, display: Display) -> dict[str, str]:
    """Run steps as Ray tasks, each after its inputs; return the reasons of those that failed."""
    running: dict[Any, Step] = {}
    refs: dict[str, Any] = {}
    for step in steps:
        waits_for = [refs[i.digest] for i in step.inputs if i.digest in refs]
        # A fit of several workers holds no CPU itself: its workers do.
        num_cpus = 0 if step.kind == "fit" and compute.workers > 1 else 1
        extra: dict[str, Any] = {}
        if step.kind == "fit":
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
            display.finished(step, failures.get(step.digest))
    return failures


@ray.remote(max_retries=3)
def perform(store: Store, step: Step, extra: dict[str, Any], *_inputs_done: None) -> None:
    """Run one step where Ray put it: load its inputs, compute, keep the result."""
    function, _ = FUNCTIONS[step.kind]
    loaded = [FUNCTIONS[i.kind][1].load(store.path(i.kind, i.digest)) for i in step.inputs]
    if step.kind == "fit":
        extra = {**extra, "scratch": store.scratch(step.digest)}
    start = time.perf_counter()
    result = function(*loaded, **step.arguments, **extra)
    with store.writing(step.kind, step.digest, {"seconds": time.perf_counter() - start}) as folder:
        result.save(folder)
    store.clear(step.digest)


def _reason(error: Exception) -> str:
    """First line of what went wrong in the task, without Ray's trace."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).strip().splitlines() if line.strip()]
    said = lines[-1] if isinstance(cause, ray.exceptions.RayError) and lines else (lines or [""])[0]
    return said if isinstance(cause, ValueError) else f"{type(cause).__name__}: {said}"
