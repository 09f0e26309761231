"""What a search has found: a table of its trials, and the best as suites that can be run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from suite import registry
from suite.artifacts.trials import Tuned
from suite.leaderboard.render import WIDTH
from suite.search.objective import at, subject
from suite.spec import Suite
from suite.store.results import Store

METRICS = ("auc", "lift")


def write(tuned: Tuned, suite: Suite, model: str, folder: Path) -> None:
    """Write all trials as JSON, and the best as suites: the tuned one, with one model."""
    tuned.save(folder)
    notes = dataset_notes(suite)
    for file, trial in tuned.files.items():
        chosen = at(subject(suite, model), trial.point)
        reached = [f"{name} {trial.metrics[name]:.4f}" for name in METRICS if name in trial.metrics]
        best = {
            "suite": tuned.name + file.removeprefix("best").removesuffix(".yaml"),
            "about": "; ".join(
                [f"{model} tuned on {suite.suite}", f"on validation: {', '.join(reached)}", *notes]
            ),
            "models": chosen.models,
            "training": chosen.training,
            "space": {},
        }
        (folder / file).write_text(_yaml(suite.model_copy(update=best)))


def dataset_notes(suite: Suite) -> list[str]:
    """Say what the figures of a suite's datasets depend on, see ``Dataset.note``."""
    made = [registry.create("datasets", part.name, part.parameters) for part in suite.datasets]
    return [dataset.note for dataset in made if dataset.note]


def show(tuned: Tuned, store: Store, notes: Iterable[str] = ()) -> None:
    """Print the trials, the largest AUC first, what they depend on, and where the best are."""
    names = list(dict.fromkeys(name for trial in tuned.trials for name in trial.point))
    metrics = [name for name in METRICS if any(name in t.metrics for t in tuned.trials)]
    short = [name.rpartition(".")[2] for name in names]
    table = Table("trial", *short, "epochs", *(f"validation {m}" for m in metrics), "status")
    for trial in tuned.ranked:
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
    for trial in tuned.trials:
        if trial.status == "failed":
            console.print(f"trial {trial.number} failed: {trial.reason}", highlight=False)
    for file in tuned.files:
        path = f"{store.published(tuned.name)}/{file}"
        console.print(f"*: latentprint run {path}", soft_wrap=True, highlight=False)
    if not tuned.files:
        console.print("no trial came to its end: there is no best")


@dataclass(frozen=True)
class Lines:
    """Prints what happens to trials, a line each; the search keeps it, so it holds nothing."""

    def __call__(self, number: int, status: str, row: Mapping[str, Any]) -> None:
        """Print an epoch, or how a trial ended."""
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
    """Write a suite as a person would."""
    plain = suite.model_dump(mode="json", exclude_defaults=True)
    for kind in registry.KINDS.keys() & plain.keys():
        plain[kind] = [
            {part["name"]: part["parameters"]} if part.get("parameters") else part["name"]
            for part in plain[kind]
        ]
    return yaml.safe_dump(plain, sort_keys=False)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
