"""Analysis steps over several cells, planned if a suite has the cells they need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import comb
from typing import Any

from suite.artifacts.figures import SOURCES
from suite.plan.plan import Plan
from suite.plan.step import Step
from suite.spec import Cell

SWAPS_PER_COMPARISON = 100
"""Random swaps per comparison of a suite, so that a Holm-adjusted p can still be 0.01."""


@dataclass(frozen=True)
class Analysis:
    """An analysis step and the cells it is about.

    Attributes
    ----------
    names
        Names that the cells have in common.
    step
        Step of the kind ``differences``, ``attribution`` or ``tasks``.
    """

    names: dict[str, Any]
    step: Step


def analyses(plans: list[Plan], replicates: int, *, by_label: bool = False) -> list[Analysis]:
    """Plan the analyses that the cells of a suite allow.

    With ``by_label`` every fitted model is also measured by label.
    """
    labels = _labels(plans, replicates) if by_label else ()
    return [*_differences(plans, replicates), *_attributions(plans), *labels]


def _differences(plans: list[Plan], replicates: int) -> Iterator[Analysis]:
    shared = ("dataset", "protocol", "defense", "attack", "seed")
    models = [p for p in plans if p.names["release"] == "model" and p.attack]
    families = [(names, cells) for names, cells in _grouped(models, shared) if len(cells) > 1]
    comparisons = sum(comb(len(cells), 2) for _, cells in families)
    for names, cells in families:
        arguments = {
            "names": [p.names["model"] for p in cells],
            # With fewer swaps no adjusted p could be small, whatever the difference.
            "swaps": max(replicates, SWAPS_PER_COMPARISON * comparisons),
            "seed": names["seed"],
        }
        yield _analysis("differences", names, cells, arguments)


def _attributions(plans: list[Plan]) -> Iterator[Analysis]:
    shared = ("dataset", "model", "defense", "attack", "seed")
    for names, cells in _grouped([p for p in plans if p.attack], shared):
        at = {_protocol_and_release(p.cell): p for p in cells}
        if set(SOURCES.values()) <= at.keys():
            chosen = [at[source] for source in SOURCES.values()]
            yield _analysis("attribution", names, chosen, {})


def _labels(plans: list[Plan], replicates: int) -> Iterator[Analysis]:
    fits = {p.timed["fit"].digest: p for p in plans if "fit" in p.timed}
    for p in fits.values():
        fit = p.timed["fit"]
        names = {key: p.names[key] for key in ("dataset", "synthetic", "model", "seed")}
        title = f"labels of {p.names['model']} on {p.names['dataset']}, seed {p.names['seed']}"
        arguments = {"replicates": replicates, "seed": p.names["seed"]}
        yield Analysis(names, Step("tasks", title, arguments, (*fit.inputs, fit)))


def _protocol_and_release(cell: Cell) -> tuple[str, str]:
    """Return the protocol, for `unseen` with its users, and the release of a cell."""
    name = cell.protocol.name
    users = f"_{cell.protocol.parameters['users']}" if name == "unseen" else ""
    excluded = "_".join(("", *cell.protocol.parameters.get("exclude", ())))
    return f"{name}{users}{excluded}", cell.release


def _analysis(
    kind: str, names: dict[str, Any], cells: list[Plan], arguments: dict[str, Any]
) -> Analysis:
    title = f"{kind}: {', '.join(str(value) for value in names.values())}"
    inputs = tuple(p.attack for p in cells if p.attack)
    return Analysis(names, Step(kind, title, arguments, inputs))


def _grouped(
    plans: list[Plan], shared: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], list[Plan]]]:
    def key(p: Plan) -> tuple[Any, ...]:
        names = p.names | {"defense": p.defense}
        return tuple(names[name] for name in shared)

    for values, cells in groupby(sorted(plans, key=key), key=key):
        yield dict(zip(shared, values, strict=True)), list(cells)
