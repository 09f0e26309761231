"""The steps by name: the function of each, and the type of its result.

They are looked up when a step runs: torch and its like are not needed to see that all is cached.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

STEPS = {
    "features": ("suite.steps.features:prepare", "suite.artifacts.features:Features"),
    "half": ("suite.steps.half:half", "suite.artifacts.features:Features"),
    "fit": ("suite.steps.fit:fit", "suite.artifacts.fitted:Fitted"),
    "represent": (
        "suite.steps.represent:represent",
        "suite.artifacts.representation:Representation",
    ),
    "inputs": ("suite.steps.inputs:inputs", "suite.artifacts.representation:Representation"),
    "attack": ("suite.steps.attack:attack", "suite.artifacts.outcome:Outcome"),
    "strongest": ("suite.steps.strongest:strongest", "suite.artifacts.outcome:Outcome"),
    "reference": ("suite.steps.strongest:reference", "suite.artifacts.figures:Reference"),
    "measure": ("suite.steps.measure:measure", "suite.artifacts.figures:Measures"),
    "best": ("suite.steps.measure:best", "suite.artifacts.figures:Measures"),
    "differences": ("suite.steps.differences:differences", "suite.artifacts.figures:Differences"),
    "tasks": ("suite.steps.labels:tasks", "suite.artifacts.figures:Tasks"),
    "attribution": ("suite.steps.attribution:attribution", "suite.artifacts.figures:Attribution"),
}
"""Kind of step -> its function and its result, which saves and loads itself; in running order."""


def function(kind: str) -> Any:
    """Return the pure function of a step."""
    return _found(STEPS[kind][0])


def result(kind: str) -> Any:
    """Return the type of what a step leaves behind."""
    return _found(STEPS[kind][1])


def _found(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
