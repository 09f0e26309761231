"""The cluster's capacity: which hosts died, and which steps no live host has resources for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import ray

from suite import registry
from suite.cluster import accelerators
from suite.cluster.settings import Compute
from suite.parts import Part
from suite.plan.kinds import KINDS
from suite.plan.step import Step

CHECK_INTERVAL_S = 5.0


class Capacity:
    """Monitors the hosts: which have died, and whether the others have the resources a step needs.

    Parameters
    ----------
    compute
        Resources of a fit, and how long to wait for them.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._waiting_since: dict[str, float] = {}
        self._checked_s = -CHECK_INTERVAL_S
        self._nodes: list[dict[str, Any]] = []
        self._dead: set[str] = set()

    def refresh(self) -> bool:
        """Ask Ray for the hosts unless that was done recently; return whether it was asked."""
        now = time.monotonic()
        if now - self._checked_s < CHECK_INTERVAL_S:
            return False
        self._checked_s = now
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        self._nodes = [node for node in nodes if node["Alive"]]
        self._dead = {node["NodeID"] for node in nodes if not node["Alive"]}
        return True

    def lost(
        self, running: dict[Any, Step], starts: dict[str, str], places: Callable[[], dict[str, str]]
    ) -> list[Any]:
        """List the tasks that began on a host that Ray has declared dead.

        Ray reports a killed host at once, but one that lost its connection only when that times
        out, after several minutes.

        Parameters
        ----------
        running
            Step of each task.
        starts
            Identifier of the latest attempt, by digest of the step.
        places
            Returns the node of every attempt; called only if a host is dead.
        """
        if not self._dead or not running:
            return []
        node = places()
        return [
            ref for ref, step in running.items() if node.get(starts[step.digest], "") in self._dead
        ]

    def overdue(
        self, running: dict[Any, Step], report: Callable[[Step, str], None]
    ) -> list[tuple[Any, str]]:
        """List the submitted tasks that waited too long for resources, each with the reason.

        ``report`` is called once for each step that begins to wait.
        """
        now = time.monotonic()
        overdue: list[tuple[Any, str]] = []
        for ref, step in running.items():
            shortage = self.shortage(step)
            if shortage is None:
                self._waiting_since.pop(step.digest, None)
                continue
            if step.digest not in self._waiting_since:
                self._waiting_since[step.digest] = now
                wait = f"waiting up to {self._compute.wait_s:.0f} s for hosts to join"
                report(step, f"insufficient resources: {shortage}; {wait}")
            if now - self._waiting_since[step.digest] > self._compute.wait_s:
                waited = f"insufficient resources for {self._compute.wait_s:.0f} s"
                overdue.append((ref, f"{waited}: {shortage}"))
        return overdue

    def shortage(self, step: Step) -> str | None:
        """Describe what a step needs and what the live hosts have; None if that is enough."""
        compute = self._compute
        workers, needed, labels = 1, {"CPU": 1.0}, {}
        if KINDS[step.kind].trains:
            workers, needed = compute.fewest_workers, {"CPU": compute.cpus_per_worker}
            gpus = compute.accelerator == "cuda" and _takes_gpus(step)
            if gpus:
                needed["GPU"] = compute.gpu_share
            if gpus or compute.most_workers > 1:
                labels = compute.node_labels or accelerators.one_kind(compute.accelerator) or {}
        hosts = [
            node["Resources"] for node in self._nodes if labels.items() <= node["Labels"].items()
        ]
        amounts = [[host.get(kind, 0.0) for kind in needed] for host in hosts]
        if sum(int(min(np.floor_divide(a, [*needed.values()]))) for a in amounts) >= workers:
            return None
        asked = " and ".join(f"{each:g} {kind}" for kind, each in needed.items())
        if workers > 1:
            asked = f"{workers} workers with {asked} each"
        available = ", ".join(" and ".join(f"{n:g}" for n in host) for host in amounts) or "none"
        which = "".join(f" with {name}={value}" for name, value in labels.items())
        kinds = " and ".join(f"{kind}s" for kind in needed)
        return f"it needs {asked}; {kinds} of the live hosts{which}: {available}"


def _takes_gpus(step: Step) -> bool:
    """Whether a fit's model trains on GPUs; estimators are fitted on CPUs."""
    # Imported here: torch takes seconds to load, and nothing else in this module needs it.
    from models.network import Network

    model: Part = step.arguments["model"]
    return issubclass(registry.part("models", model.name), Network)
