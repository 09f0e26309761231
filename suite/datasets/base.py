"""The canonical tables that every dataset yields."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

UTC = pl.Datetime("us", "UTC")

DATA_HOME = Path(os.environ.get("LATENTPRINT_DATA", "../shared/data"))
"""Folder that holds the real data, one folder per dataset."""

WINDOWS = ("train", "validation", "test")
"""In time order; what lies before train is history only and has no events here."""

EVENTS = pl.Schema(
    {
        "event_id": pl.Int64(),
        "user_id": pl.Int64(),
        "item_id": pl.Int64(),
        "time": UTC,
        "window": pl.String(),
        "session_id": pl.Int64(),  # nullable
        "device": pl.Int8(),  # nullable; 0 unknown, 1 desktop, 2 mobile, 3 tablet
        "engaged": pl.Boolean(),
    }
)
"""Columns of ``events``; any further Boolean column is one more label."""

HISTORIES = pl.Schema(
    {
        "user_id": pl.Int64(),
        "window": pl.String(),
        "time": pl.List(UTC),
        "item_id": pl.List(pl.Int64()),
        "channel_1": pl.List(pl.Float32()),  # seconds; elements nullable
        "channel_2": pl.List(pl.Float32()),  # percent; elements nullable
    }
)
"""One row per user and window; the four lists are equally long and in time order."""

ITEMS = pl.Schema(
    {
        "item_id": pl.Int64(),
        "category": pl.String(),  # nullable, like all below
        "item_type": pl.String(),
        "published": UTC,
        "premium": pl.Boolean(),
        "body_length": pl.Int64(),  # characters
        "title_length": pl.Int64(),
        "subtitle_length": pl.Int64(),
    }
)
"""One row per item; optional ``title`` and ``body`` strings may follow."""


@dataclass(frozen=True)
class Tables:
    """A log in canonical form.

    Attributes
    ----------
    events, histories, items
        Lazy tables with the columns above.
    starts
        Start of each window (UTC); every history of a window ends before it.
    dropped
        Rows left out, by reason.
    filled
        Rows kept although a value had to be assumed, by reason.
    """

    events: pl.LazyFrame
    histories: pl.LazyFrame
    items: pl.LazyFrame
    starts: dict[str, datetime]
    dropped: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)


class Dataset(ABC):
    """An engagement log in its native files.

    A subclass is a frozen dataclass; its keyword-only fields are its schema in the suite file.
    """

    @property
    def synthetic(self) -> bool:
        """True marks every result of it as synthetic."""
        return False

    @property
    def time_zone(self) -> str:
        """Zone of the users' days and hours."""
        return "UTC"

    @abstractmethod
    def files(self) -> list[Path]:
        """Files whose content decides the result; their hashes go into the digest."""

    @abstractmethod
    def tables(self) -> Tables:
        """Read the canonical tables; whoever takes them in calls ``suite.datasets.check.check``.

        Raises
        ------
        ValueError
            One line: the file and column, what was found, what is allowed.
        """
