"""Search spaces as plain data, so that a model can declare one without importing a tuner.

Each parameter has a kind and its arguments: ``("choice", a, b, ...)``, ``("uniform", low, high)``,
``("log_uniform", low, high)``, ``("int", low, high)``; ranges include both ends. A point assigns a
value to every parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import exp, isfinite, log
from typing import Any

import numpy as np

Space = Mapping[str, Sequence[Any]]
Point = dict[str, Any]

KINDS = ("choice", "uniform", "log_uniform", "int")

GRID_POINTS = 3
"""Values of a range in a grid: its ends and its midpoint."""


def check(space: Space) -> None:
    """Check that every parameter can be sampled.

    Raises
    ------
    ValueError
        One line: the parameter, what was found, what is allowed.
    """
    for name, declared in space.items():
        if not declared or declared[0] not in KINDS:
            found = declared[0] if declared else "nothing"
            raise ValueError(f"space: {name}: found {found!r}, allowed: {', '.join(KINDS)}")
        kind, *arguments = declared
        if kind == "choice":
            if not arguments:
                raise ValueError(f"space: {name}: found no choice, allowed: at least one")
        elif not _is_range(kind, arguments):
            lowest = "0 < low" if kind == "log_uniform" else "low"
            numbers = "integers" if kind == "int" else "finite numbers"
            msg = f"space: {name}: found {kind} of {arguments}, allowed: two {numbers}, "
            raise ValueError(f"{msg}{lowest} < high")


def size(space: Space) -> int | None:
    """Count the points; None where a parameter is continuous."""
    if any(kind in ("uniform", "log_uniform") for kind, *_ in space.values()):
        return None
    total = 1
    for kind, *arguments in space.values():
        total *= len(arguments) if kind == "choice" else arguments[1] - arguments[0] + 1
    return total


def grid(space: Space) -> list[Point]:
    """Every combination of all choices and of three values of each range, in order."""
    axes = [_axis(kind, arguments) for kind, *arguments in space.values()]
    return [dict(zip(space, values, strict=True)) for values in product(*axes)]


def sample(space: Space, num: int, rng: np.random.Generator) -> list[Point]:
    """Draw distinct points: ``num``, or all of the space if it has fewer."""
    points: list[Point] = []
    num = min(num, size(space) or num)
    while len(points) < num:
        point = {name: _draw(kind, values, rng) for name, (kind, *values) in space.items()}
        if point not in points:
            points.append(point)
    return points


def _is_range(kind: str, arguments: Sequence[Any]) -> bool:
    types = (int,) if kind == "int" else (int, float)
    numbers = [a for a in arguments if isinstance(a, types) and not isinstance(a, bool)]
    if len(arguments) != 2 or len(numbers) != 2 or not all(map(isfinite, numbers)):
        return False
    low, high = numbers
    return low < high and (kind != "log_uniform" or low > 0)


def _axis(kind: str, arguments: Sequence[Any]) -> list[Any]:
    if kind == "choice":
        return list(arguments)
    low, high = arguments
    if kind == "int":
        return sorted({round(value) for value in np.linspace(low, high, GRID_POINTS)})
    if kind == "log_uniform":
        return [float(value) for value in np.geomspace(low, high, GRID_POINTS)]
    return [float(value) for value in np.linspace(low, high, GRID_POINTS)]


def _draw(kind: str, arguments: Sequence[Any], rng: np.random.Generator) -> Any:
    if kind == "choice":
        return arguments[int(rng.integers(len(arguments)))]
    low, high = arguments
    if kind == "int":
        return int(rng.integers(low, high, endpoint=True))
    if kind == "log_uniform":
        return min(max(exp(rng.uniform(log(low), log(high))), low), high)
    return float(rng.uniform(low, high))
