"""What running steps report: epochs, and on which node each began."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Epoch = tuple[str, dict[str, float]]
"""Title of a step and a row of its training."""


# Restarted when its process is killed: what it held is lost, and was only to be shown.
@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Mailbox:
    """Epochs reported by workers, until the driver reads them, and where each step began."""

    def __init__(self) -> None:
        self._waiting: list[Epoch] = []
        self._places: dict[str, str] = {}

    def begin(self, start: str, node: str) -> None:
        """Note on which node a start of a step began."""
        self._places[start] = node

    def places(self) -> dict[str, str]:
        """Return the node of every start that began."""
        return self._places

    def put(self, title: str, row: dict[str, float]) -> None:
        """Leave a row."""
        self._waiting.append((title, row))

    def take(self) -> list[Epoch]:
        """Return all rows left since the last call."""
        waiting, self._waiting = self._waiting, []
        return waiting


class Events:
    """What the driver learns of running steps; it needs a connection to Ray."""

    def __init__(self) -> None:
        # On the driver's own host, whatever happens to others.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._mailbox = Mailbox.options(  # type: ignore[attr-defined]
            scheduling_strategy=here
        ).remote()

    def reporter(self, title: str) -> Callable[[dict[str, float]], None]:
        """Return the function with which a worker reports an epoch of the step of that title."""
        return functools.partial(_report, self._mailbox, title)

    def beginner(self, start: str) -> Callable[[str], None]:
        """Return the function with which a task says on which node a start of a step began."""
        return functools.partial(_begin, self._mailbox, start)

    def places(self) -> dict[str, str]:
        """Return the node of every start that began."""
        found: dict[str, str] = ray.get(self._mailbox.places.remote())
        return found

    def epochs(self) -> list[Epoch]:
        """Return the epochs reported since the last call."""
        found: list[Epoch] = ray.get(self._mailbox.take.remote())
        return found


def _report(mailbox: Any, title: str, row: dict[str, float]) -> None:
    mailbox.put.remote(title, row)


def _begin(mailbox: Any, start: str, node: str) -> None:
    # Waited for: where a step is must be known before its host can be lost.
    ray.get(mailbox.begin.remote(start, node))
