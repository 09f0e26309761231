"""The kinds of steps, as data: function, result type and resources.

Functions and result types are given by name and imported when a step runs, so that a fully cached
run does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class StepKind:
    """Properties of a kind of steps.

    Attributes
    ----------
    function
        The pure function, as ``module:name``.
    result
        The result type, which can save and load itself, as ``module:name``.
    trains
        Whether it uses the workers and accelerators of ``compute``; any other step uses one CPU.
    reports
        Whether it reports epochs while it runs.
    scratch
        Whether it keeps intermediate state in a scratch folder until it is finished.
    first
        Whether it runs before all others, which do not start if it fails.
    announced
        Whether its end is printed if the output is not a terminal.
    is_work
        Whether its time counts as work in a timeline; all other time is overhead.
    tables
        Of an analysis, the function that makes the tables of a leaderboard from all of its results,
        as ``module:name``; else empty.
    """

    function: str
    result: str
    trains: bool = False
    reports: bool = False
    scratch: bool = False
    first: bool = False
    announced: bool = False
    is_work: bool = False
    tables: str = ""

    def run(self, *inputs: Any, **arguments: Any) -> Any:
        """Call the function."""
        return _found(self.function)(*inputs, **arguments)

    def load(self, folder: Any) -> Any:
        """Read a result."""
        return _found(self.result).load(folder)

    def make_tables(self, results: Any, claimed: Any) -> Any:
        """Call the function for tables with analyses and their results, and with claims."""
        return _found(self.tables)(results, claimed)


_LEFT = "suite.artifacts"
_VECTORS = f"{_LEFT}.representation:Representation"
_RANKS = f"{_LEFT}.outcome:Outcome"
_FIGURES = f"{_LEFT}.figures"
_SEVERAL = "suite.steps.comparisons"
_TABLES = "suite.leaderboard.comparisons"

KINDS = {
    "features": StepKind(
        "suite.steps.features:prepare", f"{_LEFT}.features:Features", first=True, announced=True
    ),
    "half": StepKind("suite.steps.half:half", f"{_LEFT}.features:Features"),
    "fit": StepKind(
        "suite.steps.fit:fit",
        f"{_LEFT}.fitted:Fitted",
        trains=True,
        reports=True,
        scratch=True,
        announced=True,
        is_work=True,
    ),
    "represent": StepKind("suite.steps.represent:represent", _VECTORS, is_work=True),
    "inputs": StepKind("suite.steps.inputs:inputs", _VECTORS),
    "defend": StepKind("suite.steps.defend:defend", _VECTORS, is_work=True),
    "utility": StepKind(
        "suite.steps.utility:utility", f"{_LEFT}.predictions:Predictions", is_work=True
    ),
    "attack": StepKind("suite.steps.attack:attack", _RANKS, is_work=True),
    "strongest": StepKind(f"{_SEVERAL}.strongest:strongest", _RANKS),
    "reference": StepKind(f"{_SEVERAL}.strongest:reference", f"{_FIGURES}:Reference"),
    "measure": StepKind("suite.steps.measure:measure", f"{_FIGURES}:Measures"),
    "best": StepKind("suite.steps.measure:best", f"{_FIGURES}:Measures"),
    "differences": StepKind(
        f"{_SEVERAL}.differences:differences",
        f"{_FIGURES}:Differences",
        tables=f"{_TABLES}:differences",
    ),
    "attribution": StepKind(
        f"{_SEVERAL}.attribution:attribution",
        f"{_FIGURES}:Attribution",
        tables=f"{_TABLES}:attributions",
    ),
    "tasks": StepKind(
        "suite.steps.labels:measure_labels",
        f"{_FIGURES}:LabelFigures",
        tables=f"{_TABLES}:by_label",
    ),
}
"""By the name under which results are kept; in running order, and that of their tables."""


def _found(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
