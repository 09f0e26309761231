"""The canonical tables of all datasets, and the dataset interface."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl

UTC = pl.Datetime("us", "UTC")

DATA_HOME = Path(os.environ.get("LATENTPRINT_DATA", "../shared/data"))
"""Folder of the real data, with one folder per dataset."""

WINDOWS = ("train", "validation", "test")
"""In time order; what precedes train is history only and has no events."""

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
"""Columns of ``events``; any further Boolean column is one more label. A column ``sampled_for``
(Int64) marks events that were not observed but sampled, see ``suite.datasets.negatives``.

Ids of users, items and sessions are the native ones, or if those are not integers the ones of
``suite.datasets.reading.identifiers``: everything assigned by user (hold-out, the halves of
``static`` and ``disjoint``) is keyed by them and thus equal in every adapter."""

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
"""One row per user and window; the four lists are equally long and in time order. A further
column ``start`` (UTC), if there is one, is the user's own start of the window."""

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
"""One row per item; further columns may follow: ``title`` and ``body``, strings, and ``tokens``,
List(Int32), the ids of the item's text in the vocabulary that the dataset's ``tokenizer`` names,
from the opening to the closing token."""

UNKNOWN_ITEM = "item without a row in the items table"
"""Reason under which events of such items are counted as filled."""

Group = Literal["content", "reader", "creator", "reader_creator"]
"""Subject of a wide feature: the item, its reader, its creator, or reader and creator."""


@dataclass(frozen=True)
class WideFeature:
    """A feature of an event that is computed by the dataset.

    Attributes
    ----------
    name
        Column of ``Tables.wide``.
    group
        Its subject; ``reader`` and ``reader_creator`` describe the user, the others what the
        user was shown.
    unit
        Unit of the column, for example ``count``, ``share`` or ``s``.
    source
        Columns of the native files that it is computed from.
    """

    name: str
    group: Group
    unit: str
    source: str


@dataclass(frozen=True)
class Tables:
    """A log in canonical form.

    Attributes
    ----------
    events, histories, items
        Lazy tables with the columns above.
    starts
        Start of each window (UTC), the earliest if users have their own; every history of a
        window ends before it.
    dropped
        Number of rows left out, by reason.
    filled
        Number of rows kept with an imputed value, by reason.
    wide
        Further features of the events, for models that read many: ``event_id`` and one Float32
        column for each of ``wide_features``, in raw units, null if unknown; one row for each
        event, in any order. None if the dataset has none.
    wide_features
        Descriptions of the columns of ``wide``, in their order.
    """

    events: pl.LazyFrame
    histories: pl.LazyFrame
    items: pl.LazyFrame
    starts: dict[str, datetime]
    dropped: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    wide: pl.LazyFrame | None = None
    wide_features: tuple[WideFeature, ...] = ()


class Dataset(ABC):
    """An engagement log in its native files.

    A subclass is a frozen dataclass; its keyword-only fields are its schema in the suite file.
    ``wide_features`` are the features added by ``widened``.
    """

    wide_features: ClassVar[tuple[WideFeature, ...]] = ()

    @property
    def synthetic(self) -> bool:
        """Whether users are simulated, which marks every result as synthetic."""
        return False

    @property
    def note(self) -> str:
        """Caveat about all figures, shown with the dataset's name."""
        return ""

    @property
    def time_zone(self) -> str:
        """Time zone of the users' days and hours."""
        return "UTC"

    @property
    def tokenizer(self) -> str:
        """Vocabulary of the items' ``tokens``: a name or path of a Hugging Face tokenizer.

        Empty if the items have no tokens.
        """
        return ""

    @abstractmethod
    def files(self) -> list[Path]:
        """List the files that the tables depend on; their hashes are part of digests."""

    @abstractmethod
    def tables(self) -> Tables:
        """Read the canonical tables; the caller validates them with ``suite.datasets.check.check``.

        Raises
        ------
        ValueError
            One line: the file and column, what was found, what is allowed.
        """

    def widened(self, tables: Tables, *, holdout_users: float) -> Tables:
        """Add ``wide`` to the checked tables, if the dataset has wide features.

        Parameters
        ----------
        tables
            Checked result of ``tables``.
        holdout_users
            Share of users in [0, 1), those of ``suite.datasets.holdout.held_out``, excluded from
            the fit of features, like the windows after train.

        Raises
        ------
        ValueError
            One line, as for ``tables``.
        """
        return tables
