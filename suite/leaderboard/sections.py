"""Tables of texts, and the points that the page draws of them."""

from __future__ import annotations

from pydantic import (
    BaseModel,
    ConfigDict,
)


class Point(BaseModel):
    """A figure to be drawn: over ``group``, in the color of ``name``, with bounds if it has any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None


class Section(BaseModel):
    """A table with its title; all cells are texts. Where it has points, the page draws them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    points: tuple[Point, ...] = ()
