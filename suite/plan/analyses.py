"""What several cells say together: differences between models, and where a lift comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import comb
from typing import Any

import numpy as np

from suite.artifacts.figures import SOURCES
from suite.leaderboard import labels
from suite.leaderboard.rows import Claims, Section
from suite.plan.plan import Plan, Step
from suite.spec import Cell

ANSWERS = {
    "static": "under one unchanged history (static)",
    "static_input": "of it from static input (static - disjoint)",
    "rolling": "over time (rolling)",
    "random_net": "the architecture alone (random_net)",
    "training": "added by training (rolling - random_net)",
    "raw": "of the raw inputs (raw)",
    "memorized": "memorized (unseen: trained - held out)",
}
"""Figure of ``suite.steps.attribution``, and the question that it answers."""

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
    return [*_differences(plans, replicates), *_attributions(plans, replicates), *by_label]


def sections(
    found: list[tuple[Analysis, Any]],
    extra: list[tuple[Plan, Any]],
    claimed: Claims | None = None,
) -> list[Section]:
    """Tables of finished analyses, and of open-set and inversion figures.

    Parameters
    ----------
    found
        Analyses with their results.
    extra
        Plans with the further figures of their cell, by metric key.
    claimed
        What stands beside the figures of the labels.
    """
    fits = [
        labels.Entry(analysis.names, analysis.step.inputs[1].arguments["model"], result)
        for analysis, result in found
        if analysis.step.kind == "tasks"
    ]
    tables = [
        _difference_table(found),
        _attribution_table(found),
        *labels.sections(fits, claimed),
        *_extra_tables(extra),
    ]
    return [table for table in tables if table.lines]


def _differences(plans: list[Plan], replicates: int) -> Iterator[Analysis]:
    shared = ("dataset", "protocol", "defense", "attack", "seed")
    models = [p for p in plans if p.names["release"] == "model" and "attack" in p.timed]
    families = [(names, cells) for names, cells in _grouped(models, shared) if len(cells) > 1]
    comparisons = sum(comb(len(cells), 2) for _, cells in families)
    for names, cells in families:
        arguments = {
            "names": [p.names["model"] for p in cells],
            "replicates": replicates,
            # Times the comparisons no p could else be small, whatever the difference.
            "swaps": max(replicates, SWAPS_PER_COMPARISON * comparisons),
            "seed": names["seed"],
        }
        yield _analysis("differences", names, cells, arguments)


def _attributions(plans: list[Plan], replicates: int) -> Iterator[Analysis]:
    shared = ("dataset", "model", "defense", "attack", "seed")
    for names, cells in _grouped([p for p in plans if "attack" in p.timed], shared):
        at = {_protocol_and_release(p.cell): p for p in cells}
        if set(SOURCES.values()) <= at.keys():
            chosen = [at[source] for source in SOURCES.values()]
            arguments = {"replicates": replicates, "seed": names["seed"]}
            yield _analysis("attribution", names, chosen, arguments)


def _tasks(plans: list[Plan], replicates: int) -> Iterator[Analysis]:
    fits = {p.timed["fit"].digest: p for p in plans if "fit" in p.timed}
    for p in fits.values():
        fit = p.timed["fit"]
        names = {key: p.names[key] for key in ("dataset", "synthetic", "model", "seed")}
        title = f"labels of {p.names['model']} on {p.names['dataset']}, seed {p.names['seed']}"
        arguments = {"replicates": replicates, "seed": p.names["seed"]}
        yield Analysis(
            names, Step("tasks", title, arguments, (*fit.inputs, fit), ("suite.steps.labels",))
        )


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
    inputs = tuple(p.timed["attack"] for p in cells)
    return Analysis(names, Step(kind, title, arguments, inputs, (f"suite.{kind}",)))


def _grouped(
    plans: list[Plan], shared: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], list[Plan]]]:
    def key(p: Plan) -> tuple[Any, ...]:
        return tuple(p.names[name] for name in shared)

    for values, cells in groupby(sorted(plans, key=key), key=key):
        yield dict(zip(shared, values, strict=True)), list(cells)


def _difference_table(found: list[tuple[Analysis, Any]]) -> Section:
    from attacks.measures.comparisons import holm

    shared = ("dataset", "protocol", "defense", "attack", "seed")
    rows = [
        (analysis.names, row)
        for analysis, result in found
        if analysis.step.kind == "differences"
        for row in result.rows
    ]
    adjusted = holm(np.array([row["p"] for _, row in rows])).tolist() if rows else []
    lines = [
        (
            *(str(names[key]) for key in shared),
            row["first"],
            row["second"],
            _figure(row["difference"], row["low"], row["high"]),
            f"{p:.3g}",
        )
        for (names, row), p in zip(rows, adjusted, strict=True)
    ]
    title = f"paired differences of lift between models; p after Holm, {len(lines)} comparisons"
    header = (*shared, "first", "second", "first - second", "p")
    return Section(title=title, header=header, lines=tuple(lines))


def _attribution_table(found: list[tuple[Analysis, Any]]) -> Section:
    shared = ("dataset", "model", "attack", "seed")
    lines = [
        (
            *(str(analysis.names[key]) for key in shared),
            f"{result.num_gallery:,}",
            question,
            _figure(*result.figures[key]),
        )
        for analysis, result in found
        if analysis.step.kind == "attribution"
        for key, question in ANSWERS.items()
    ]
    title = "where the lift comes from, every figure at the smallest N among them"
    return Section(title=title, header=(*shared, "N", "what", "lift"), lines=tuple(lines))


def _extra_tables(extra: list[tuple[Plan, Any]]) -> Iterator[Section]:
    shared = ("dataset", "protocol", "model", "release", "attack", "seed")
    titles = {
        "reid/fnir_at_fpir_": "open set: FNIR at three FPIR; empty: too few unknown probes",
        "inversion/": "inversion: what the vector tells about the history",
        "reid/num_": "vectors that differ but are not told apart: equal once rounded to float32 "
        "(num_rounded); probes whose true user ties with a user of another vector (num_tied_apart)",
    }
    for prefix, title in titles.items():
        cells = [(p, figures) for p, figures in extra if any(k.startswith(prefix) for k in figures)]
        keys = sorted({k for _, figures in cells for k in figures if k.startswith(prefix)})
        lines = [
            (
                *(str(p.names[key]) for key in shared),
                *(_rounded(k, figures[k]) if k in figures else "" for k in keys),
            )
            for p, figures in cells
        ]
        header = (*shared, *(key.rpartition("/")[2] for key in keys))
        yield Section(title=title, header=header, lines=tuple(lines))


def _rounded(key: str, value: float) -> str:
    return f"{value:,.0f}" if key.startswith("reid/num_") else f"{value:.3f}"


def _figure(value: float, low: float, high: float) -> str:
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
