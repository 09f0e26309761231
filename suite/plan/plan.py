"""What each cell of a suite needs, and what its row is called."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from suite import registry
from suite.datasets.base import Dataset
from suite.parts import Part, label
from suite.plan import chain, digest
from suite.plan.chain import BEST
from suite.plan.step import Step
from suite.spec import UNDEFENDED, Cell, Suite


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
        """The steps whose results make the row; they depend on all others."""
        return [self.last] + ([self.reference] if self.reference else [])

    @property
    def defense(self) -> str:
        """The defense with the number of releases and the gallery's state, if not the default."""
        cell, text = self.cell, self.cell.defense.label
        text += f", {cell.releases_m} releases" if cell.releases_m != 1 else ""
        return text + (", undefended gallery" if cell.attacker_holds == "undefended" else "")

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
    chain.forget()
    sources = [_features(part, full) for part in full.datasets]
    cells = full.cells()
    per_dataset = len(cells) // len(full.datasets)
    with digest.reading_once():
        found = [
            _plan(cell, full, *sources[number // per_dataset]) for number, cell in enumerate(cells)
        ]
        counts = Counter(p.digest for p in found)
    twice = [digest for digest, count in counts.items() if count > 1]
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
        "releases_m": None,
        "attacker_holds": None,
    }
    if cell.defense.name != UNDEFENDED:
        names |= {"releases_m": cell.releases_m, "attacker_holds": cell.attacker_holds}
    reference = chain.reference(cell, suite, features)
    if cell.attack.name == BEST:
        return Plan(cell, names, chain.best(cell, suite, features), {}, reference=reference)
    attack = chain.ranks(cell, suite, features)
    timed = {}
    if attack.kind == "attack":
        released = attack.inputs[1]
        undefended = released.inputs[1] if released.kind == "defend" else released
        timed = {"represent": undefended, "attack": attack}
    if cell.release == "model":
        timed["fit"] = chain.fit(cell, suite, features)
    measure = chain.measure(cell, suite, features, attack)
    return Plan(cell, names, measure, timed, attack, reference)
