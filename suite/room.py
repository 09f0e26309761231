"""Room on the cluster: a step that fits nowhere waits with a word, and not for ever."""

from __future__ import annotations

import time
from typing import Any

import ray

from suite.plan import Step
from suite.progress import Display
from suite.spec import Compute

LOOK_EVERY_S = 5.0


class Room:
    """Watches whether the living hosts could hold what is asked of them, were they idle.

    Parameters
    ----------
    compute
        Says how much a fit needs, and for how long it is waited for.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._since: dict[str, float] = {}
        self._looked_s = -LOOK_EVERY_S

    def lacking(self, running: dict[Any, Step], display: Display) -> list[tuple[Any, str]]:
        """List the tasks, of those submitted, that waited too long, each with the reason."""
        now = time.monotonic()
        if now - self._looked_s < LOOK_EVERY_S:
            return []
        self._looked_s = now
        cpus = hosts()
        overdue: list[tuple[Any, str]] = []
        for ref, step in running.items():
            lack = self._lack(step, cpus)
            if lack is None:
                self._since.pop(step.digest, None)
                continue
            if step.digest not in self._since:
                self._since[step.digest] = now
                wait = f"waiting up to {self._compute.wait_s:.0f} s for hosts to join"
                display.lost(step, f"no room: {lack}; {wait}")
            if now - self._since[step.digest] > self._compute.wait_s:
                overdue.append((ref, f"no room for {self._compute.wait_s:.0f} s: {lack}"))
        return overdue

    def _lack(self, step: Step, cpus: list[float]) -> str | None:
        """Say what is asked and what there is, where that is too little."""
        compute = self._compute
        workers, each = 1, 1
        if step.kind == "fit":
            workers, each = compute.fewest_workers, compute.cpus_per_worker
        there = sum(int(count // each) for count in cpus)
        if there >= workers:
            return None
        asked = f"{workers} of {each} CPU" if workers > 1 else f"{each} CPU"
        found = ", ".join(f"{count:g}" for count in cpus) or "none"
        return f"it needs {asked}; CPUs of the living hosts: {found}"


def hosts() -> list[float]:
    """CPUs of each living host of the cluster, taken ones included."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"].get("CPU", 0.0) for node in nodes if node["Alive"]]
