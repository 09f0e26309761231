"""Steps over the attacks of several cells, planned where the cells of a suite allow them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import comb
from typing import Any

from suite.artifacts.figures import SOURCES
from suite.plan.plan import Plan, Step
from suite.spec import Cell

SWAPS_PER_COMPARISON = 100
"""Random swaps behind a p for each comparison of the suite: after Holm it can still be 0.01."""


@dataclass(frozen=True)
class Analysis:
    """A step over the attacks of several cells.

    Attributes
    ----------
    names
        What those cells have in common.
    step
        Of the kind ``differences``, ``attribution`` or ``tasks``.
    """

    names: dict[str, Any]
    step: Step


def analyses(plans: list[Plan], replicates: int, *, tasks: bool = False) -> list[Analysis]:
    """Plan what the cells of a suite allow: nothing where no two of them belong together.

    With ``tasks`` every fitted model is also measured by label.
    """
    by_label = _tasks(plans, replicates) if tasks else ()
    return [*_differences(plans, replicates), *_attributions(plans), *by_label]


def _differences(plans: list[Plan], replicates: int) -> Iterator[Analysis]:
    shared = ("dataset", "protocol", "defense", "attack", "seed")
    models = [p for p in plans if p.names["release"] == "model" and p.attack]
    families = [(names, cells) for names, cells in _grouped(models, shared) if len(cells) > 1]
    comparisons = sum(comb(len(cells), 2) for _, cells in families)
    for names, cells in families:
        arguments = {
            "names": [p.names["model"] for p in cells],
            # Times the comparisons no p could else be small, whatever the difference.
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


def _tasks(plans: list[Plan], replicates: int) -> Iterator[Analysis]:
    fits = {p.timed["fit"].digest: p for p in plans if "fit" in p.timed}
    for p in fits.values():
        fit = p.timed["fit"]
        names = {key: p.names[key] for key in ("dataset", "synthetic", "model", "seed")}
        title = f"labels of {p.names['model']} on {p.names['dataset']}, seed {p.names['seed']}"
        arguments = {"replicates": replicates, "seed": p.names["seed"]}
        yield Analysis(names, Step("tasks", title, arguments, (*fit.inputs, fit)))


def _protocol_and_release(cell: Cell) -> tuple[str, str]:
    """Name the protocol, `unseen` with its users, and the release of a cell."""
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
        return tuple(p.names[name] for name in shared)

    for values, cells in groupby(sorted(plans, key=key), key=key):
        yield dict(zip(shared, values, strict=True)), list(cells)
