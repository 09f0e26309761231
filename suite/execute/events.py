"""Reports of running steps: their epochs, and the node on which each began."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Epoch = tuple[str, dict[str, float]]
"""Title of a step and a row of its training."""


# Restarted when its process is killed: it then loses its rows, which are only displayed.
@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Mailbox:
    """Holds epochs until the driver reads them, and the node of every attempt at a step."""

    def __init__(self) -> None:
        self._unread: list[Epoch] = []
        self._places: dict[str, str] = {}

    def begin(self, attempt: str, node: str) -> None:
        """Note the node on which an attempt began."""
        self._places[attempt] = node

    def places(self) -> dict[str, str]:
        """Return the node of every attempt."""
        return self._places

    def put(self, title: str, row: dict[str, float]) -> None:
        """Add a row."""
        self._unread.append((title, row))

    def take(self) -> list[Epoch]:
        """Return all rows added since the last call."""
        unread, self._unread = self._unread, []
        return unread


class Events:
    """The driver's view of running steps; needs a connection to Ray."""

    def __init__(self) -> None:
        # On the driver's own host, so that it survives the loss of others.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._mailbox = Mailbox.options(  # type: ignore[attr-defined]
            scheduling_strategy=here
        ).remote()

    def reporter(self, title: str) -> Callable[[dict[str, float]], None]:
        """Return the function with which a worker reports an epoch of the step with this title."""
        return functools.partial(_report, self._mailbox, title)

    def beginner(self, attempt: str) -> Callable[[str], None]:
        """Return the function with which a task reports the node on which an attempt began."""
        return functools.partial(_begin, self._mailbox, attempt)

    def places(self) -> dict[str, str]:
        """Return the node of every attempt."""
        places: dict[str, str] = ray.get(self._mailbox.places.remote())
        return places

    def epochs(self) -> list[Epoch]:
        """Return the epochs reported since the last call."""
        epochs: list[Epoch] = ray.get(self._mailbox.take.remote())
        return epochs


def _report(mailbox: Any, title: str, row: dict[str, float]) -> None:
    mailbox.put.remote(title, row)


def _begin(mailbox: Any, attempt: str, node: str) -> None:
    # Waits: the step's node must be on record before its host can be lost.
    ray.get(mailbox.begin.remote(attempt, node))
