"""What running steps report: epochs, and on which node each began."""

from __future__ import annotations

from typing import Any

import ray


# Restarted when its process is killed: what it held is lost, and was only to be shown.
@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Mailbox:
    """Epochs reported by workers, until the driver reads them, and where each step began."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, dict[str, float]]] = []
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

    def take(self) -> list[tuple[str, dict[str, float]]]:
        """Return all rows left since the last call."""
        waiting, self._waiting = self._waiting, []
        return waiting


def _report(mailbox: Any, title: str, row: dict[str, float]) -> None:
    mailbox.put.remote(title, row)


def _begin(mailbox: Any, start: str, node: str) -> None:
    # Waited for: where a step is must be known before its host can be lost.
    ray.get(mailbox.begin.remote(start, node))
