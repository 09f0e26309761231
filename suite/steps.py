"""The steps by name: the function of each, and the type of its result.

They are looked up when a step runs: torch and its like are not needed to see that all is cached.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

STEPS = {
    "features": ("suite.prepare:prepare", "suite.features:Features"),
    "half": ("suite.prepare:half", "suite.features:Features"),
    "fit": ("suite.train:fit", "suite.fitted:Fitted"),
    "represent": ("suite.represent:represent", "suite.represent:Representation"),
    "attack": ("suite.attack:attack", "suite.attack:Outcome"),
    "measure": ("suite.measure:measure", "suite.results:Measures"),
    "best": ("suite.measure:best", "suite.results:Measures"),
    "differences": ("suite.differences:differences", "suite.results:Differences"),
    "tasks": ("suite.tasks:tasks", "suite.results:Tasks"),
    "attribution": ("suite.attribution:attribution", "suite.results:Attribution"),
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
