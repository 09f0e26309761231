"""From a suite to its leaderboard. Read this first.

Each cell is a chain of steps: features -> fit -> represent -> attack -> measure. A step is a pure
function of its inputs, named by a digest of all it depends on; its result is kept in the store and
never computed twice. Steps that are missing run as Ray tasks, in parallel where the cluster has
room; when none is missing, Ray is not started.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from suite.execute.timeline import Timeline
from suite.leaderboard.rows import Leaderboard
from suite.plan import plan
from suite.plan.analyses import analyses
from suite.plan.kinds import STEPS
from suite.plan.plan import Step
from suite.publish import record, tracking
from suite.spec import Suite
from suite.store.results import Store


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
        Ray cluster, see ``suite.cluster.connect``.
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
    timeline = Timeline(begin=time.time())
    plans = plan.plans(suite)
    failures: dict[str, str] = {}
    together = analyses(plans, suite.bootstrap, tasks=suite.tasks)
    missing = unfinished([p.last for p in plans] + [a.step for a in together], store)
    if missing:
        # Imported here: when all is cached, nothing loads Ray.
        from suite.cluster import connect
        from suite.execute.progress import Display
        from suite.execute.scheduler import execute

        with ThreadPoolExecutor(1) as thread:
            # The tracker takes seconds to load and to answer, which Ray's start hides.
            checked = thread.submit(tracking.check, tracking_uri)
            with connect.connected(address), Display(console, len(missing)) as display:
                checked.result()
                timeline.cluster_cpus = connect.num_cpus()
                data = [step for step in missing if step.kind == "features"]
                for reason in execute(data, store, suite.compute, display, timeline).values():
                    raise ValueError(reason)
                rest = [step for step in missing if step.kind != "features"]
                failures = execute(rest, store, suite.compute, display, timeline)
        console.print(f"{suite.suite}: {timeline}", soft_wrap=True, highlight=False)
    return record.record(suite.suite, plans, together, store, failures, tracking_uri, timeline)


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
    order = list(STEPS)
    return sorted(found.values(), key=lambda step: order.index(step.kind))
