"""What each cell needs: a chain of steps, each known by the digest of all it depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from suite import registry
from suite.datasets.base import Dataset
from suite.parts import Part, label
from suite.plan import digest
from suite.plan.choices import blocks, on_validation
from suite.plan.kinds import KINDS
from suite.spec import Cell, Suite
from suite.store import checksum

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
        Its key in ``suite.plan.kinds.KINDS``.
    title
        What a person reads while it runs.
    arguments
        Keyword arguments of the step's function, in full.
    inputs
        Steps whose results come first among the function's arguments.
    parts
        Modules, or files of a user's own, of the parts that it makes by their names; they decide
        the result as the kind's function does.
    files
        Data whose content decides the result; where it lies does not.
    """

    kind: str
    title: str
    arguments: dict[str, Any]
    inputs: tuple[Step, ...]
    parts: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @cached_property
    def content(self) -> tuple[str, ...]:
        """SHA-256 of each of the files when the step was planned."""
        return tuple(checksum.of_file(path) for path in self.files)

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
                "content": self.content,
                "sources": digest.sources(*self.code()),
                "libraries": digest.libraries(),
            }
        )

    def code(self) -> list[str]:
        """Name what the result depends on: the function, what it takes and leaves, the parts."""
        taken = [KINDS[step.kind].result for step in self.inputs]
        ours = (type(value) for value in self.arguments.values())
        types = [f"{t.__module__}:{t.__name__}" for t in ours if t.__module__.startswith("suite.")]
        kind = KINDS[self.kind]
        return sorted({kind.function, kind.result, *taken, *types, *self.parts})

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
        The steps whose seconds the row shows: represent, attack and fit.
    attack
        Gives the ranks that the figures are of; None where it is one of several, see ``best``.
    reference
        Reads the inputs of the model as strongly as can be; None where the row has none.
    """

    cell: Cell
    names: dict[str, Any]
    last: Step
    timed: dict[str, Step]
    attack: Step | None = None
    reference: Step | None = None

    @property
    def wanted(self) -> list[Step]:
        """The steps that the row is made of; they need all others."""
        return [self.last] + ([self.reference] if self.reference else [])

    @property
    def digest(self) -> str:
        """Digest of the cell: that of its last step, which models with equal inputs share."""
        if self.cell.release != "raw":
            return self.last.digest
        return digest.digest({"inputs of": self.cell.model, "last": self.last.digest})


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
        (registry.module("datasets", part.name),),
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
    reference = _reference(cell, suite, features)
    if cell.attack.name == BEST:
        return Plan(cell, names, _best(cell, suite, features), {}, reference=reference)
    attack = _ranks(cell, suite, features)
    timed = {"represent": attack.inputs[1], "attack": attack} if attack.kind == "attack" else {}
    if cell.release == "model":
        timed["fit"] = _fit(cell, suite, features)
    measure = _measure(cell, suite, features, attack)
    return Plan(cell, names, measure, timed, attack, reference)


def _fit(cell: Cell, suite: Suite, features: Step) -> Step:
    return Step(
        "fit",
        f"fit {_who(cell)}",
        {"model": cell.model, "training": suite.training, "seed": cell.seed},
        (features,),
        (registry.module("models", cell.model.name),),
    )


def _inputs(cell: Cell, features: Step, block: str) -> Step:
    return Step(
        "inputs",
        f"inputs of {cell.model.label} on {cell.dataset.label}: {block}",
        blocks(cell)[block],
        (features,),
    )


def _represent(
    cell: Cell, suite: Suite, features: Step, fitted_on: Step, block: str | None = None
) -> Step:
    if cell.release == "raw":
        return _inputs(cell, features, block or [*blocks(cell)][-1])
    arguments: dict[str, Any] = {"model": cell.model, "release": cell.release}
    if cell.release == "random_net":
        arguments["seed"] = cell.seed
    return Step(
        "represent",
        f"represent {_who(cell)}, {cell.release}",
        arguments,
        (features, _fit(cell, suite, fitted_on)) if cell.release == "model" else (features,),
        (registry.module("models", cell.model.name),),
    )


def _ranks(cell: Cell, suite: Suite, features: Step) -> Step:
    """Attack what is released; of inputs in several blocks the strongest on validation."""
    several = cell.release == "raw" and len(blocks(cell)) > 1
    readings = [(block, cell, block) for block in blocks(cell)] if several else []
    return _strongest("strongest", readings, suite, features) or _attack(cell, suite, features)


def _strongest(
    kind: str, readings: list[tuple[str, Cell, str]], suite: Suite, features: Step
) -> Step | None:
    """Choose among named cells and blocks on validation; None where that cannot be done."""
    chosen_on = on_validation(readings[0][1].protocol) if readings else None
    if chosen_on is None:
        return None
    outcomes = [
        _attack(cell._replace(protocol=protocol or cell.protocol), suite, features, block)
        for protocol in (chosen_on, None)
        for _, cell, block in readings
    ]
    names, cell = [name for name, _, _ in readings], readings[0][1]
    return Step(
        kind,
        f"strongest inputs of {_who(cell)}: {cell.protocol.label}, {cell.attack.label}",
        {"candidates": names},
        tuple(outcomes),
    )


def _reference(cell: Cell, suite: Suite, features: Step) -> Step | None:
    """Read the model's own inputs, undefended, by the blocks and the suite's plain attacks.

    Only for rows whose attack is one of them: one that pools probes, or knows more, may do better
    than all of these without any amplification by the model.
    """
    attacks = [part for part in suite.attacks if part.name != BEST]
    plain = [part for part in attacks if registry.part("attacks", part.name).plain]
    among = attacks if cell.attack.name == BEST else [cell.attack]
    if cell.release != "model" or not all(part in plain for part in among):
        return None
    # Attacks of inputs need no model, so that all seeds and all defenses share them.
    undefended = _full("defenses", Part(name=UNDEFENDED), UNDEFENDED)
    raw = cell._replace(release="raw", defense=undefended, seed=suite.seeds[0])
    readings = [
        (f"{block}, {attack.label}", raw._replace(attack=attack), block)
        for block in blocks(raw)
        for attack in plain
    ]
    return _strongest("reference", readings, suite, features)


def _attack(cell: Cell, suite: Suite, features: Step, block: str | None = None) -> Step:
    parts = {"protocol": cell.protocol, "defense": cell.defense, "attack": cell.attack}
    if registry.part("protocols", cell.protocol.name).splits_history:
        halves = [_half(cell, features, side) for side in ("gallery", "probe")]
        released = tuple(_represent(cell, suite, half, features, block) for half in halves)
    else:
        released = (_represent(cell, suite, features, features, block),)
    if "other_space" in registry.part("attacks", cell.attack.name).needs:
        other = cell._replace(seed=cell.seed + 1)
        released = (released[0], _represent(other, suite, features, features, block))
    return Step(
        "attack",
        f"attack {_who(cell)}, {cell.release}: {cell.protocol.label}, {cell.attack.label}",
        {**parts, "seed": cell.seed},
        (features, *released),
        tuple(registry.module(f"{kind}s", p.name) for kind, p in parts.items()),
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
        (registry.module("datasets", cell.dataset.name),),
        features.files,
    )


def _measure(cell: Cell, suite: Suite, features: Step, attack: Step) -> Step:
    fitted = (_fit(cell, suite, features),) if cell.release == "model" else ()
    return Step(
        "measure",
        f"measure {_who(cell)}, {cell.release}: {cell.protocol.label}, {cell.attack.label}",
        {"defended": cell.defense.name != UNDEFENDED},
        (attack, *fitted),
    )


def _best(cell: Cell, suite: Suite, features: Step) -> Step:
    """Choose among the suite's other attackers on validation, report the choice on test."""
    candidates = [part for part in suite.attacks if part.name != BEST]
    if not candidates:
        raise ValueError(
            "attacks: found only best, allowed: best beside the attacks to choose from"
        )
    chosen_on = on_validation(cell.protocol)
    if chosen_on is None:
        raise ValueError(
            f"attacks: found best, allowed: only where {cell.protocol.name} has a "
            "counterpart on validation to choose by"
        )
    of_inputs = list(blocks(cell)) if cell.release == "raw" else [""]
    cells = [(cell._replace(attack=part), block) for block in of_inputs for part in candidates]
    names = [
        f"{block}, {c.attack.label}" if len(of_inputs) > 1 else c.attack.label for c, block in cells
    ]
    to_choose = [_attack(c._replace(protocol=chosen_on), suite, features, b) for c, b in cells]
    on_test = [_measure(c, suite, features, _attack(c, suite, features, b)) for c, b in cells]
    return Step(
        "best",
        f"best attack on {_who(cell)}, {cell.release}: {cell.protocol.label}",
        {"candidates": names},
        (*to_choose, *on_test),
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
