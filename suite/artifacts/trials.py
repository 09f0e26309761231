"""What a search leaves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Tried:
    """A trial.

    Attributes
    ----------
    number
        From 1, in the order in which the trials were started.
    point
        Value of each parameter.
    status, reason
        ``done``, ``stopped`` or ``failed``, and why it failed.
    metrics
        ``epoch``, ``auc`` and, if asked for, ``lift``; all on validation.
    history
        Rows of the epochs.
    best
        Whether no other trial that is done beats it.
    """

    number: int
    point: dict[str, Any]
    status: str
    reason: str
    metrics: dict[str, float]
    history: list[dict[str, float]]
    best: bool


@dataclass(frozen=True)
class Tuned:
    """Trials of a search.

    Attributes
    ----------
    name
        Of the best as a suite.
    trials
        In the order of their numbers.
    """

    name: str
    trials: list[Tried]

    @property
    def failed(self) -> bool:
        """Whether a trial failed."""
        return any(trial.status == "failed" for trial in self.trials)

    @cached_property
    def ranked(self) -> list[Tried]:
        """Trials, the largest AUC first."""
        return sorted(self.trials, key=lambda trial: -trial.metrics.get("auc", 0.0))

    @cached_property
    def files(self) -> dict[str, Tried]:
        """Suite file -> the trial that it runs; numbered where several trials are best."""
        best = [trial for trial in self.ranked if trial.best]
        if len(best) == 1:
            return {"best.yaml": best[0]}
        return {f"best-{i + 1}.yaml": trial for i, trial in enumerate(best)}

    def save(self, folder: Path) -> None:
        """Write tuned.json."""
        (folder / "tuned.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> Tuned:
        """Read what ``save`` wrote."""
        plain = json.loads((folder / "tuned.json").read_text())
        return cls(plain["name"], [Tried(**trial) for trial in plain["trials"]])
