"""Results of a hyperparameter search."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrialResult:
    """Result of one trial.

    Attributes
    ----------
    number
        From 1, in the order in which the trials were started.
    point
        Value of each parameter.
    status, reason
        ``done``, ``stopped`` or ``failed``, and the reason for a failure.
    metrics
        ``epoch``, ``auc`` and, if it is an objective, ``lift``; all on validation.
    history
        One row per epoch.
    best
        Whether it is done and no other finished trial dominates it.
    """

    number: int
    point: dict[str, Any]
    status: str
    reason: str
    metrics: dict[str, float]
    history: list[dict[str, float]]
    best: bool


@dataclass(frozen=True)
class TuneResult:
    """Results of all trials of a search.

    Attributes
    ----------
    name
        Suite name of the best trial.
    trials
        Ordered by number.
    """

    name: str
    trials: list[TrialResult]

    @property
    def failed(self) -> bool:
        """Whether any trial failed."""
        return any(trial.status == "failed" for trial in self.trials)

    @cached_property
    def ranked(self) -> list[TrialResult]:
        """Trials in descending order of AUC."""
        return sorted(self.trials, key=lambda trial: -trial.metrics.get("auc", 0.0))

    @cached_property
    def files(self) -> dict[str, TrialResult]:
        """Suite file -> the trial it runs; numbered if several trials are best."""
        best = [trial for trial in self.ranked if trial.best]
        if len(best) == 1:
            return {"best.yaml": best[0]}
        return {f"best-{i + 1}.yaml": trial for i, trial in enumerate(best)}

    def save(self, folder: Path) -> None:
        """Write tuned.json."""
        (folder / "tuned.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> TuneResult:
        """Read what ``save`` wrote."""
        plain = json.loads((folder / "tuned.json").read_text())
        return cls(plain["name"], [TrialResult(**trial) for trial in plain["trials"]])
