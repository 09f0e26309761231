"""Hosts of the cluster: steps on one that was given up are lost, and some fit on none."""

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
from suite.plan.plan import Step

LOOK_EVERY_S = 5.0


class Room:
    """Watches the hosts: which are lost, and whether the others could hold what is asked of them.

    Parameters
    ----------
    compute
        Says how much a fit needs, and for how long it is waited for.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._since: dict[str, float] = {}
        self._looked_s = -LOOK_EVERY_S
        self._nodes: list[dict[str, Any]] = []
        self._dead: set[str] = set()

    def look(self) -> bool:
        """Look at the hosts, if the last time is a while ago; say whether that was done."""
        now = time.monotonic()
        if now - self._looked_s < LOOK_EVERY_S:
            return False
        self._looked_s = now
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        self._nodes = [node for node in nodes if node["Alive"]]
        self._dead = {node["NodeID"] for node in nodes if not node["Alive"]}
        return True

    def lost(
        self, running: dict[Any, Step], starts: dict[str, str], places: Callable[[], dict[str, str]]
    ) -> list[Any]:
        """List the tasks that began on a host that was given up.

        Ray tells of a killed host at once. Of one that was cut off it tells only when the
        connection times out, after several minutes.

        Parameters
        ----------
        running
            Tasks and their steps.
        starts
            Name of the start by digest of the step.
        places
            Gives the node of every start that began; asked only where a host is dead.
        """
        if not self._dead or not running:
            return []
        node = places()
        return [
            ref for ref, step in running.items() if node.get(starts[step.digest], "") in self._dead
        ]

    def lacking(
        self, running: dict[Any, Step], say: Callable[[Step, str], None]
    ) -> list[tuple[Any, str]]:
        """List the tasks, of those submitted, that waited too long, each with the reason.

        ``say`` is told once of each step that begins to wait.
        """
        now = time.monotonic()
        overdue: list[tuple[Any, str]] = []
        for ref, step in running.items():
            lack = self.lack(step)
            if lack is None:
                self._since.pop(step.digest, None)
                continue
            if step.digest not in self._since:
                self._since[step.digest] = now
                wait = f"waiting up to {self._compute.wait_s:.0f} s for hosts to join"
                say(step, f"no room: {lack}; {wait}")
            if now - self._since[step.digest] > self._compute.wait_s:
                overdue.append((ref, f"no room for {self._compute.wait_s:.0f} s: {lack}"))
        return overdue

    def lack(self, step: Step) -> str | None:
        """Say what a step asks for and what there is, where that is too little."""
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
        there = [[host.get(kind, 0.0) for kind in needed] for host in hosts]
        if sum(int(min(np.floor_divide(h, [*needed.values()]))) for h in there) >= workers:
            return None
        asked = " and ".join(f"{each:g} {kind}" for kind, each in needed.items())
        found = ", ".join(" and ".join(f"{n:g}" for n in host) for host in there) or "none"
        which = "".join(f" with {name}={value}" for name, value in labels.items())
        count = f"{workers} of " if workers > 1 else ""
        kinds = " and ".join(f"{kind}s" for kind in needed)
        return f"it needs {count}{asked}; {kinds} of the living hosts{which}: {found}"


def _takes_gpus(step: Step) -> bool:
    """Whether a fit's model is trained on GPUs; estimators fit themselves on CPUs."""
    # Here, as torch takes seconds to load and nothing else that looks at hosts needs it.
    from models.network import Network

    model: Part = step.arguments["model"]
    return issubclass(registry.part("models", model.name), Network)
