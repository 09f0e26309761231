"""Tables of analyses over several cells: differences between models, attribution of lift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from suite.leaderboard import labels
from suite.leaderboard.claims import Claims
from suite.leaderboard.sections import Section
from suite.plan.analyses import Analysis
from suite.plan.kinds import KINDS
from suite.plan.plan import Plan

Results = list[tuple[Analysis, Any]]
"""Analyses with what their steps left."""

DESCRIPTIONS = {
    "static": "with one unchanged history (static)",
    "static_input": "of which from static input (static - disjoint)",
    "rolling": "over time (rolling)",
    "random_net": "by the architecture alone (random_net)",
    "training": "added by training (rolling - random_net)",
    "raw": "of the raw inputs (raw)",
    "memorized": "by memorization (unseen: trained - held out)",
}
"""Figure of ``suite.steps.comparisons.attribution`` -> its description in the table."""


def sections(
    results: Results,
    extra: list[tuple[Plan, Any]],
    claimed: Claims | None = None,
) -> list[Section]:
    """Make the tables of finished analyses, and of open-set and inversion figures.

    Parameters
    ----------
    results
        Finished analyses with their results.
    extra
        Plans with further figures of their cells, by metric key.
    claimed
        Claims to show beside the figures of the labels.
    """
    tables: list[Section] = []
    for name, kind in KINDS.items():
        if own := [
            (analysis, result) for analysis, result in results if analysis.step.kind == name
        ]:
            tables += kind.make_tables(own, claimed)
    return [table for table in (*tables, *_extra_tables(extra)) if table.lines]


def by_label(results: Results, claimed: Claims | None) -> list[Section]:
    """Make the tables of figures by label."""
    fits = [
        labels.Entry(analysis.names, analysis.step.inputs[1].arguments["model"], result)
        for analysis, result in results
    ]
    return labels.sections(fits, claimed)


def differences(results: Results, _: Claims | None) -> list[Section]:
    """Make the table of paired differences; p is corrected for all of them together."""
    from attacks.measures.comparisons import holm

    shared = ("dataset", "protocol", "defense", "attack", "seed")
    rows = [(analysis.names, row) for analysis, result in results for row in result.rows]
    adjusted = holm(np.array([row["p"] for _, row in rows])).tolist()
    lines = [
        (
            *(str(names[key]) for key in shared),
            row["first"],
            row["second"],
            _figure(row["difference"], row["low"], row["high"]),
            f"{p:.3g}, unreliable" if row["doubt"] else f"{p:.3g}",
        )
        for (names, row), p in zip(rows, adjusted, strict=True)
    ]
    title = f"paired differences in lift between models; Holm-adjusted p, comparisons: {len(lines)}"
    header = (*shared, "first", "second", "first - second", "p")
    return [Section(title=title, header=header, lines=tuple(lines))]


def attributions(results: Results, _: Claims | None) -> list[Section]:
    """Make the table of attributions."""
    shared = ("dataset", "model", "attack", "seed")
    lines = [
        (
            *(str(analysis.names[key]) for key in shared),
            f"{result.num_gallery:,}",
            description,
            _figure(*result.figures[key]),
        )
        for analysis, result in results
        for key, description in DESCRIPTIONS.items()
    ]
    title = "attribution of lift, all figures at the smallest N among them"
    return [Section(title=title, header=(*shared, "N", "what", "lift"), lines=tuple(lines))]


def _extra_tables(extra: list[tuple[Plan, Any]]) -> Iterator[Section]:
    several = len({p.defense for p, _ in extra}) > 1
    defense = ("defense",) if several else ()
    shared = ("dataset", "protocol", "model", "release", *defense, "attack", "seed")
    titles = {
        "reid/fnir_at_fpir_": "open set: FNIR at three FPIR; empty if too few probes are unknown",
        "inversion/": "inversion: what the vector reveals about the history",
        "reid/num_": "distinct vectors not distinguished: equal after rounding to float32 "
        "(num_rounded); probes whose true user ties with a user of another vector (num_tied_apart)",
    }
    for prefix, title in titles.items():
        cells = [(p, figures) for p, figures in extra if any(k.startswith(prefix) for k in figures)]
        keys = sorted({k for _, figures in cells for k in figures if k.startswith(prefix)})
        lines = [
            (
                *(str((p.names | {"defense": p.defense})[key]) for key in shared),
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
