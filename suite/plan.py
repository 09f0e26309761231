"""What each cell needs: a chain of steps, each known by the digest of all it depends on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from suite import digest, registry
from suite.datasets.base import Dataset
from suite.spec import Cell, Part, Suite, label


@dataclass(frozen=True)
class Step:
    """A pure function of its inputs, not yet run.

    Attributes
    ----------
    kind
        ``features``, ``fit``, ``represent``, ``attack`` or ``measure``.
    title
        What a person reads while it runs.
    arguments
        Keyword arguments of the step's function, in full.
    inputs
        Steps whose results come first among the function's arguments.
    modules
        Modules whose source, with all that they import, decides the result.
    content
        Hashes of files that decide the result, in place of the paths in ``arguments``.
    """

    kind: str
    title: str
    arguments: dict[str, Any]
    inputs: tuple[Step, ...]
    modules: tuple[str, ...]
    content: tuple[str, ...] = field(default=())

    @cached_property
    def digest(self) -> str:
        """SHA-256 that names the result."""
        arguments = self.arguments
        if self.content:
            dataset: Part = arguments["dataset"]
            arguments = {**arguments, "dataset": _without_paths(dataset)}
        return digest.digest(
            {
                "step": self.kind,
                "arguments": arguments,
                "inputs": [step.digest for step in self.inputs],
                "content": self.content,
                "sources": digest.sources(*self.modules),
                "libraries": digest.libraries(),
            }
        )


@dataclass(frozen=True)
class Plan:
    """The steps of one cell and what its row is called.

    Attributes
    ----------
    names
        The row's keys that say which cell it is.
    steps
        By kind; ``fit`` is missing where the release needs no fitted model.
    """

    names: dict[str, Any]
    steps: dict[str, Step]

    @property
    def digest(self) -> str:
        """Digest of the cell: that of its last step."""
        return self.steps["measure"].digest


def plans(suite: Suite) -> list[Plan]:
    """Plan every cell of a suite; nothing is read but the dataset's files, to hash them.

    Raises
    ------
    ValueError
        A part is unknown, or a parameter of it; a file of the data is missing.
    """
    full = suite.model_copy(
        update={
            kind: [
                Part(name=p.name, parameters=registry.parameters(kind, p.name, p.parameters))
                for p in getattr(suite, kind)
            ]
            for kind in registry.KINDS
        }
    )
    for kind in registry.KINDS:
        for part in getattr(full, kind):
            registry.create(kind, part.name, part.parameters)
    datasets = {id(part): _features(part, full) for part in full.datasets}
    return [_plan(cell, full, *datasets[id(cell.dataset)]) for cell in full.cells()]


def _features(part: Part, suite: Suite) -> tuple[Step, bool]:
    source: Dataset = registry.create("datasets", part.name, part.parameters)
    step = Step(
        "features",
        f"features of {label(part, suite.datasets)}",
        {"dataset": part, "holdout_users": suite.holdout_users},
        (),
        ("suite.prepare", registry.module("datasets", part.name)),
        tuple(digest.of_file(path) for path in source.files()),
    )
    return step, source.synthetic


def _plan(cell: Cell, suite: Suite, features: Step, synthetic: bool) -> Plan:
    names = {
        "dataset": label(cell.dataset, suite.datasets),
        "synthetic": synthetic,
        "model": label(cell.model, suite.models),
        "seed": cell.seed,
        "release": cell.release,
        "protocol": label(cell.protocol, suite.protocols),
        "defense": label(cell.defense, suite.defenses),
        "attack": label(cell.attack, suite.attacks),
    }
    model_module = registry.module("models", cell.model.name)
    who = f"{names['model']} on {names['dataset']}, seed {cell.seed}"
    fit = Step(
        "fit",
        f"fit {who}",
        {"model": cell.model, "training": suite.training, "seed": cell.seed},
        (features,),
        ("suite.train", model_module),
    )
    needed = (features, fit) if cell.release == "model" else (features,)
    represent = Step(
        "represent",
        f"represent {who}, {cell.release}",
        {"model": cell.model, "release": cell.release},
        needed,
        ("suite.represent", model_module),
    )
    parts = {"protocol": cell.protocol, "defense": cell.defense, "attack": cell.attack}
    attack = Step(
        "attack",
        f"attack {who}, {cell.release}: {names['protocol']}, {names['attack']}",
        {**parts, "seed": cell.seed},
        (features, represent),
        ("suite.attack", *(registry.module(f"{key}s", p.name) for key, p in parts.items())),
    )
    measure = Step(
        "measure",
        f"measure {who}, {cell.release}",
        {"replicates": suite.bootstrap, "seed": cell.seed},
        (attack, fit) if cell.release == "model" else (attack,),
        ("suite.measure",),
    )
    steps = (features, *needed[1:], represent, attack, measure)
    return Plan(names, {step.kind: step for step in steps})


def _without_paths(part: Part) -> Part:
    """Drop parameters that are paths: where the data lies changes nothing, its content does."""
    kept = {
        key: value
        for key, value in part.parameters.items()
        if not (isinstance(value, str | Path) and Path(value).exists())
    }
    return Part(name=part.name, parameters=kept)
