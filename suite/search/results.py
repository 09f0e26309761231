"""Output of a search: a table of its trials, and the best ones as suites that can be run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from suite import registry
from suite.artifacts.trials import TuneResult
from suite.leaderboard.render import WIDTH
from suite.search.objective import at, subject
from suite.spec import Suite
from suite.store.results import Store

METRICS = ("auc", "lift")


def write(result: TuneResult, suite: Suite, model: str, folder: Path) -> None:
    """Write all trials as JSON, and each best one as a copy of the suite with its settings."""
    result.save(folder)
    notes = dataset_notes(suite)
    for file, trial in result.files.items():
        chosen = at(subject(suite, model), trial.point)
        reached = [f"{name} {trial.metrics[name]:.4f}" for name in METRICS if name in trial.metrics]
        best = {
            "suite": result.name + file.removeprefix("best").removesuffix(".yaml"),
            "about": "; ".join(
                [f"{model} tuned on {suite.suite}", f"on validation: {', '.join(reached)}", *notes]
            ),
            "models": chosen.models,
            "training": chosen.training,
            "space": {},
        }
        (folder / file).write_text(_yaml(suite.model_copy(update=best)))


def dataset_notes(suite: Suite) -> list[str]:
    """Return the notes of a suite's datasets, see ``Dataset.note``."""
    datasets = [registry.create("datasets", part.name, part.parameters) for part in suite.datasets]
    return [dataset.note for dataset in datasets if dataset.note]


def show(result: TuneResult, store: Store, notes: Iterable[str] = ()) -> None:
    """Print the trials in descending order of AUC, the notes, and where the best suites are."""
    names = list(dict.fromkeys(name for trial in result.trials for name in trial.point))
    metrics = [name for name in METRICS if any(name in t.metrics for t in result.trials)]
    short = [name.rpartition(".")[2] for name in names]
    table = Table("trial", *short, "epochs", *(f"validation {m}" for m in metrics), "status")
    for trial in result.ranked:
        table.add_row(
            f"{trial.number} *" if trial.best else str(trial.number),
            *(_shown(trial.point.get(name)) for name in names),
            str(int(trial.metrics.get("epoch", 0))),
            *(f"{trial.metrics[m]:.4f}" if m in trial.metrics else "-" for m in metrics),
            trial.status,
        )
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)
    for trial in result.trials:
        if trial.status == "failed":
            console.print(f"trial {trial.number} failed: {trial.reason}", highlight=False)
    for file in result.files:
        path = f"{store.published(result.name)}/{file}"
        console.print(f"*: latentprint run {path}", soft_wrap=True, highlight=False)
    if not result.files:
        console.print("no trial finished: there is no best one")


@dataclass(frozen=True)
class Lines:
    """Prints the progress of trials, one line each; stateless, as Tune saves it with the search."""

    def __call__(self, number: int, status: str, row: Mapping[str, Any]) -> None:
        """Print an epoch, or the final status of a trial."""
        text = f"trial {number}: {status}"
        if status == "epoch":
            text += f" {row['epoch']:.0f}"
        if "auc" in row:
            text += f", validation AUC {row['auc']:.4f}"
        if "lift" in row:
            text += f", lift {row['lift']:.1f}"
        if status == "failed":
            text += f": {row.get('reason', 'see the table')}"
        Console(stderr=True).print(text, highlight=False, soft_wrap=True)


def _yaml(suite: Suite) -> str:
    """Write a suite in the short form of hand-written files."""
    plain = suite.model_dump(mode="json", exclude_defaults=True)
    for kind in registry.KINDS.keys() & plain.keys():
        plain[kind] = [
            {part["name"]: part["parameters"]} if part.get("parameters") else part["name"]
            for part in plain[kind]
        ]
    return yaml.safe_dump(plain, sort_keys=False)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
