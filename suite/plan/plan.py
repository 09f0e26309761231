"""What each cell needs: a chain of steps, each known by the digest of all it depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from suite import registry
from suite.datasets.base import Dataset
from suite.parts import Part, label
from suite.plan import digest
from suite.spec import Cell, Suite

BEST = "best"
"""Stands in a suite's attacks for the one of them that is strongest on validation."""

UNDEFENDED = "none"
"""The defense that leaves the vectors as they are."""


@dataclass(frozen=True)
class Step:
    """A pure function of its inputs, not yet run.

    Attributes
    ----------
    kind
        Which function of ``suite.plan.kinds.STEPS`` it is.
    title
        What a person reads while it runs.
    arguments
        Keyword arguments of the step's function, in full.
    inputs
        Steps whose results come first among the function's arguments.
    modules
        Modules whose source, with all that they import, decides the result.
    files
        Data whose content decides the result; where it lies does not.
    """

    kind: str
    title: str
    arguments: dict[str, Any]
    inputs: tuple[Step, ...]
    modules: tuple[str, ...]
    files: tuple[Path, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 that names the result."""
        arguments = self.arguments
        if self.files:
            dataset: Part = arguments["dataset"]
            arguments = {**arguments, "dataset": _without_paths(dataset, self.files)}
        return digest.digest(
            {
                "step": self.kind,
                "arguments": arguments,
                "inputs": [step.digest for step in self.inputs],
                "content": [digest.of_file(path) for path in self.files],
                "sources": digest.sources(*self.modules),
                "libraries": digest.libraries(),
            }
        )

    def chain(self) -> Iterator[Step]:
        """Yield all that the step needs, inputs first, and then itself."""
        for step in self.inputs:
            yield from step.chain()
        yield self


@dataclass(frozen=True)
class Plan:
    """The steps of one cell and what its row is called.

    Attributes
    ----------
    cell
        With the parameters of its parts in full.
    names
        The row's keys that say which cell it is.
    last
        The step that gives the row's figures; it needs all others.
    timed
        The steps whose seconds the row shows, by kind.
    """

    cell: Cell
    names: dict[str, Any]
    last: Step
    timed: dict[str, Step]

    @property
    def digest(self) -> str:
        """Digest of the cell: that of its last step."""
        return self.last.digest


def plans(suite: Suite) -> list[Plan]:
    """Plan every cell of a suite; nothing is read but the dataset's files, to hash them.

    Raises
    ------
    ValueError
        A part is unknown, or a parameter of it; a file of the data is missing.
    """
    full = suite.model_copy(
        update={
            kind: [_full(kind, part, label(part, parts)) for part in parts]
            for kind in registry.KINDS
            for parts in [getattr(suite, kind)]
        }
    )
    sources = [_features(part, full) for part in full.datasets]
    per_dataset = len(full.cells()) // len(full.datasets)
    found = [
        _plan(cell, full, *sources[number // per_dataset])
        for number, cell in enumerate(full.cells())
    ]
    twice = [digest for digest, count in Counter(p.digest for p in found).items() if count > 1]
    if twice:
        names = next(p.names for p in found if p.digest == twice[0])
        shown = ", ".join(f"{key} {value}" for key, value in names.items())
        raise ValueError(f"{suite.suite}: the same cell is asked for twice: {shown}")
    return found


def _full(kind: str, part: Part, label: str) -> Part:
    """Fill in the defaults, and make the part once, so that it can refuse."""
    if (kind, part.name) == ("attacks", BEST):
        return Part(name=BEST, label=BEST)
    parameters = registry.parameters(kind, part.name, part.parameters)
    made = registry.create(kind, part.name, parameters)
    if isinstance(made, Dataset) and made.note:
        label = f"{label}, {made.note}"
    return Part(name=part.name, parameters=parameters, label=label)


def _features(part: Part, suite: Suite) -> tuple[Step, bool]:
    source: Dataset = registry.create("datasets", part.name, part.parameters)
    step = Step(
        "features",
        f"features of {part.label}",
        {"dataset": part, "holdout_users": suite.holdout_users},
        (),
        ("suite.steps.features", registry.module("datasets", part.name)),
        tuple(source.files()),
    )
    return step, source.synthetic


def _plan(cell: Cell, suite: Suite, features: Step, synthetic: bool) -> Plan:
    names = {
        "dataset": cell.dataset.label,
        "synthetic": synthetic,
        "model": cell.model.label,
        "seed": cell.seed,
        "release": cell.release,
        "protocol": cell.protocol.label,
        "defense": cell.defense.label,
        "attack": cell.attack.label,
    }
    if cell.attack.name == BEST:
        return Plan(cell, names, _best(cell, suite, features), {})
    attack = _attack(cell, suite, features)
    timed = {"represent": attack.inputs[1], "attack": attack}
    if cell.release == "model":
        timed["fit"] = _fit(cell, suite, features)
    return Plan(cell, names, _measure(cell, suite, features, attack), timed)


def _fit(cell: Cell, suite: Suite, features: Step) -> Step:
    return Step(
        "fit",
        f"fit {_who(cell)}",
        {"model": cell.model, "training": suite.training, "seed": cell.seed},
        (features,),
        ("suite.steps.fit", registry.module("models", cell.model.name)),
    )


def _represent(cell: Cell, suite: Suite, features: Step, fitted_on: Step) -> Step:
    arguments: dict[str, Any] = {"model": cell.model, "release": cell.release}
    if cell.release == "random_net":
        arguments["seed"] = cell.seed
    return Step(
        "represent",
        f"represent {_who(cell)}, {cell.release}",
        arguments,
        (features, _fit(cell, suite, fitted_on)) if cell.release == "model" else (features,),
        ("suite.steps.represent", registry.module("models", cell.model.name)),
    )


def _attack(cell: Cell, suite: Suite, features: Step) -> Step:
    parts = {"protocol": cell.protocol, "defense": cell.defense, "attack": cell.attack}
    if registry.part("protocols", cell.protocol.name).splits_history:
        halves = [_half(cell, features, side) for side in ("gallery", "probe")]
        released = tuple(_represent(cell, suite, half, features) for half in halves)
    else:
        released = (_represent(cell, suite, features, features),)
    if "other_space" in registry.part("attacks", cell.attack.name).needs:
        other = cell._replace(seed=cell.seed + 1)
        released = (released[0], _represent(other, suite, features, features))
    return Step(
        "attack",
        f"attack {_who(cell)}, {cell.release}: {cell.protocol.label}, {cell.attack.label}",
        {**parts, "seed": cell.seed},
        (features, *released),
        ("suite.steps.attack", *(registry.module(f"{kind}s", p.name) for kind, p in parts.items())),
    )


def _half(cell: Cell, features: Step, side: str) -> Step:
    return Step(
        "half",
        f"{side} half of the histories of {cell.dataset.label}, {cell.protocol.label}",
        {
            "dataset": cell.dataset,
            "side": side,
            "deal": cell.protocol.parameters.get("deal", "session"),
        },
        (features,),
        ("suite.steps.half", registry.module("datasets", cell.dataset.name)),
        features.files,
    )


def _measure(cell: Cell, suite: Suite, features: Step, attack: Step) -> Step:
    fitted = (_fit(cell, suite, features),) if cell.release == "model" else ()
    return Step(
        "measure",
        f"measure {_who(cell)}, {cell.release}: {cell.protocol.label}, {cell.attack.label}",
        {"defended": cell.defense.name != UNDEFENDED},
        (attack, *fitted),
        ("suite.steps.measure",),
    )


def _best(cell: Cell, suite: Suite, features: Step) -> Step:
    """Choose among the suite's other attackers on validation, report the choice on test."""
    candidates = [part for part in suite.attacks if part.name != BEST]
    if not candidates:
        raise ValueError(
            "attacks: found only best, allowed: best beside the attacks to choose from"
        )
    protocol = registry.create("protocols", cell.protocol.name, cell.protocol.parameters)
    chosen_on = Part(
        name=cell.protocol.name,
        parameters=asdict(protocol.on_validation()),
        label=f"{cell.protocol.label} on validation",
    )
    cells = [cell._replace(attack=part) for part in candidates]
    on_validation = [_attack(c._replace(protocol=chosen_on), suite, features) for c in cells]
    on_test = [_measure(c, suite, features, _attack(c, suite, features)) for c in cells]
    return Step(
        "best",
        f"best attack on {_who(cell)}, {cell.release}: {cell.protocol.label}",
        {"candidates": [part.label for part in candidates]},
        (*on_validation, *on_test),
        ("suite.steps.measure",),
    )


def _who(cell: Cell) -> str:
    return f"{cell.model.label} on {cell.dataset.label}, seed {cell.seed}"


def _without_paths(part: Part, files: tuple[Path, ...]) -> Part:
    """Drop the parameters that say where the files lie."""
    places = {str(place) for path in files for place in (path.absolute(), *path.absolute().parents)}
    kept = {
        key: value
        for key, value in part.parameters.items()
        if not (isinstance(value, str | Path) and value and str(Path(value).absolute()) in places)
    }
    return Part(name=part.name, parameters=kept)
