"""Tables of strings, and points plotted from them."""

from __future__ import annotations

from pydantic import (
    BaseModel,
    ConfigDict,
)


class Point(BaseModel):
    """A point of a plot: over ``group``, in the color of ``name``, with bounds if it has any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None


class Section(BaseModel):
    """A table of strings with its title, and points to plot, if any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    points: tuple[Point, ...] = ()
