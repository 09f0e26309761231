"""Windows of the log, forward in time: the last four hours, or the last two whole days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from suite.datasets.tweets.layout import DAY_S, HOUR_S

Cut = Literal["ladder", "days"]

LAST_S = 4 * HOUR_S
"""Length of what is held back at the end."""

TUNED_SHARE = 0.7
"""Share of it, by time, that is validation; models may be fine-tuned on it."""


@dataclass(frozen=True)
class Slice:
    """A stretch of the log whose features come from before it.

    Attributes
    ----------
    window
        That its events belong to; train may have several slices.
    start_s, end_s
        Seconds since the epoch; the end is excluded.
    known_s
        Only what happened before is known of its events: its start, or an earlier time.
    """

    window: str
    start_s: int
    end_s: int
    known_s: int


def slices(cut: Cut, last_s: int, train_days: int) -> tuple[Slice, ...]:
    """Cut the end of a log into slices that touch, in time order.

    Parameters
    ----------
    cut
        ``ladder``: the last four hours are validation (first 70 %) and test; train is the 24-hour
        windows before them. ``days``: test is the last whole day (UTC), validation the last four
        hours of the day before it, train the rest of that day and the whole days before. What is
        known there is what was known when the day began: a feature such as the hours since an
        engagement would else mean something else in validation than in train and test.
    last_s
        Time of the last event, in seconds since the epoch. For ``days`` a day is whole when the
        log reaches its last hour.
    train_days
        Number of train slices.

    Raises
    ------
    ValueError
        If ``train_days`` is less than 1.
    """
    if train_days < 1:
        raise ValueError(f"train_days: found {train_days}, must be at least 1")
    if cut == "ladder":
        end = last_s + 1
        held_back = end - LAST_S
        test = held_back + round(TUNED_SHARE * LAST_S)
        bounds = [held_back - DAY_S * k for k in range(train_days, -1, -1)]
    else:
        end = (last_s + HOUR_S) // DAY_S * DAY_S
        test = end - DAY_S
        bounds = [test - DAY_S * k for k in range(train_days, 0, -1)] + [test - LAST_S]
    known = bounds[-1] if cut == "ladder" else bounds[-2]
    return (
        *(Slice("train", start, after, start) for start, after in pairwise(bounds)),
        Slice("validation", bounds[-1], test, known),
        Slice("test", test, end, test),
    )


def starts(cut: Sequence[Slice]) -> dict[str, datetime]:
    """When the history of each window ends: what its first slice knows is from before."""
    found: dict[str, datetime] = {}
    for piece in cut:
        found.setdefault(piece.window, datetime.fromtimestamp(piece.known_s, UTC))
    return found


def slice_of(time_s: NDArray[np.int64], cut: Sequence[Slice]) -> NDArray[np.int64]:
    """Row of the slice that each time falls into, (n,); -1 before the first and after the last."""
    edges = np.array([piece.start_s for piece in cut] + [cut[-1].end_s])
    row = np.searchsorted(edges, time_s, side="right") - 1
    return np.where(row < len(cut), row, -1)
