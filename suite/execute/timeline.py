"""When and where each step of an execution ran, and the overhead in its wall time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from suite.plan.kinds import KINDS

TIMELINE = "timeline.json"
"""File name, beside the leaderboard."""

WORK = tuple(name for name, kind in KINDS.items() if kind.is_work)
"""Kinds of steps that count as work; all other time is overhead."""


@dataclass(frozen=True)
class Span:
    """A step that ran.

    Attributes
    ----------
    kind, title, digest
        Those of the step.
    node
        Address of the machine.
    start, end
        In s since the epoch by that machine's clock, reading and writing of results included.
    compute_s
        Time in the step's own function, in s.
    read_bytes, written_bytes
        Size of the step's inputs and of its result.
    cpus
        Number of CPUs that the step and its workers held.
    """

    kind: str
    title: str
    digest: str
    node: str
    start: float
    end: float
    compute_s: float
    read_bytes: int
    written_bytes: int
    cpus: int


@dataclass
class Timeline:
    """All steps of one execution of a suite.

    Attributes
    ----------
    begin, end
        Of the execution, the start of Ray included, in s since the epoch.
    cluster_cpus
        Number of CPUs of all machines.
    spans
        One per finished step, in the order in which they finished.
    """

    begin: float
    end: float = 0.0
    cluster_cpus: int = 0
    spans: list[Span] = field(default_factory=list)

    def add(self, span: Span) -> None:
        """Add a finished step."""
        self.spans.append(span)
        self.end = max(self.end, span.end)

    @property
    def wall_s(self) -> float:
        """Time from ``begin`` to ``end``, in s."""
        return max(0.0, self.end - self.begin)

    @property
    def outside(self) -> float:
        """Share of the wall time in which no step of ``WORK`` ran, in [0, 1]."""
        ran = ((s.start, s.end) for s in self.spans if s.kind in WORK)
        return 1 - covered(ran) / self.wall_s if self.wall_s > 0 else 0.0

    @property
    def idle(self) -> float:
        """Share of the cluster's CPU seconds that no step held, in [0, 1]."""
        held = sum(s.cpus * (s.end - s.start) for s in self.spans)
        available = self.cluster_cpus * self.wall_s
        return max(0.0, 1 - held / available) if available > 0 else 0.0

    @property
    def moved_bytes(self) -> int:
        """Total size of the steps' inputs and results."""
        return sum(s.read_bytes + s.written_bytes for s in self.spans)

    def seconds(self) -> dict[str, float]:
        """Total time of the steps of each kind in s, reading and writing included."""
        totals: dict[str, float] = {}
        for span in self.spans:
            totals[span.kind] = totals.get(span.kind, 0.0) + span.end - span.start
        return totals

    def to_json(self) -> str:
        """Return figures and steps as JSON, one step per line."""
        head: dict[str, Any] = {
            "begin": self.begin,
            "end": self.end,
            "wall_s": self.wall_s,
            "outside_work": self.outside,
            "cluster_cpus": self.cluster_cpus,
            "idle": self.idle,
            "moved_bytes": self.moved_bytes,
            "seconds": self.seconds(),
        }
        lines = ",\n".join(json.dumps(asdict(span)) for span in self.spans)
        return f'{json.dumps(head)[:-1]}, "spans": [\n{lines}\n]}}\n'

    @classmethod
    def from_json(cls, text: str) -> Timeline:
        """Read what ``to_json`` wrote."""
        plain = json.loads(text)
        spans = [Span(**span) for span in plain["spans"]]
        return cls(plain["begin"], plain["end"], plain["cluster_cpus"], spans)

    def __str__(self) -> str:
        """Summarize the execution in one line."""
        if not self.spans:
            return "no step finished"
        return (
            f"{self.wall_s:.0f} s, {self.outside:.0%} of it outside its work ({', '.join(WORK)}); "
            f"{self.idle:.0%} of {self.cluster_cpus} CPUs idle; "
            f"{self.moved_bytes / 1e6:.0f} MB read and written"
        )


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
