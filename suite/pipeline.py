"""From a suite to its leaderboard. Read this first.

Each cell is a chain of steps: features -> fit -> represent -> defend -> attack, utility -> measure.
A step is a pure function of its inputs, named by a digest of all it depends on; its result is kept
in the store and never computed twice. Steps that are missing or damaged run as Ray tasks, in
parallel where the cluster has room; when none is, Ray is not started.
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.text import Text

from suite.execute.timeline import Timeline
from suite.leaderboard.rows import Leaderboard
from suite.plan import plan
from suite.plan.analyses import analyses
from suite.plan.kinds import KINDS
from suite.plan.recovery import repair, unfinished
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
    together = analyses(plans, suite.bootstrap, by_label=suite.tasks)

    def say(line: str) -> None:
        console.print(Text(line, style="yellow"), soft_wrap=True)

    wanted = [s for p in plans for s in p.wanted] + [a.step for a in together]
    timed = [step for p in plans for step in p.timed.values()]
    missing = unfinished(wanted, store, timed, say)
    if missing:
        for step in missing:
            if KINDS[step.kind].scratch:
                repair(store.scratch(step.digest), say)
        # Imported here: when all is cached, nothing loads Ray.
        from suite.cluster import connect
        from suite.execute.progress import Display
        from suite.execute.scheduler import execute

        # Not in a thread beside Ray's start, which forks: a lock of logging that main held across
        # a fork was seen to stay locked, and whoever imports or logs then waits for ever.
        tracking.check(tracking_uri)
        with connect.connected(address), Display(console, len(missing)) as display:
            timeline.cluster_cpus = connect.num_cpus()
            data = [step for step in missing if KINDS[step.kind].first]
            for reason in execute(data, store, suite.compute, display, timeline).values():
                raise ValueError(reason)
            rest = [step for step in missing if not KINDS[step.kind].first]
            failures = execute(rest, store, suite.compute, display, timeline)
        console.print(f"{suite.suite}: {timeline}", soft_wrap=True, highlight=False)
    return record.record(suite.suite, plans, together, store, failures, tracking_uri, timeline)
