"""The canonical tables that every dataset yields."""

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
"""Columns of ``events``; any further Boolean column is one more label. A column ``sampled_for``
(Int64) marks events that were not observed but sampled, see ``suite.datasets.negatives``.

Ids of users, items and sessions are the native ones, where they are no numbers as
``suite.datasets.reading.identifiers`` gives them: whatever is dealt by user (who is held out, the
halves of ``static`` and ``disjoint``) is keyed by them and thus alike in every adapter."""

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
column ``start`` (UTC), where there is one, is the user's own start of the window."""

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

UNKNOWN_ITEM = "item without a row in the items table, nothing known of it"
"""Reason by which events of such items are counted among the filled ones."""

Group = Literal["content", "reader", "creator", "reader_creator"]
"""Whom a wide feature is about: the item, its reader, its creator, or reader and creator."""


@dataclass(frozen=True)
class WideFeature:
    """A feature of an event that a dataset computes itself.

    Attributes
    ----------
    name
        Column of ``Tables.wide``.
    group
        Whom it is about; ``reader`` and ``reader_creator`` describe the user, the others what
        the user was shown.
    unit
        Of the column, for example ``count``, ``share`` or ``s``.
    source
        What in the native files it is computed from.
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
        Start of each window (UTC), the first one where users have their own; every history of a
        window ends before it.
    dropped
        Rows left out, by reason.
    filled
        Rows kept although a value had to be assumed, by reason.
    wide
        Further features of the events, for models that read many: ``event_id`` and one Float32
        column for each of ``wide_features``, in raw units, null where unknown; one row for each
        event, in any order. None where the dataset has none.
    wide_features
        What the columns of ``wide`` are, in their order.
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
    ``wide_features`` is what ``widened`` adds.
    """

    wide_features: ClassVar[tuple[WideFeature, ...]] = ()

    @property
    def synthetic(self) -> bool:
        """True marks every result of it as synthetic."""
        return False

    @property
    def note(self) -> str:
        """What every figure depends on and a reader must know; stands beside the name."""
        return ""

    @property
    def time_zone(self) -> str:
        """Zone of the users' days and hours."""
        return "UTC"

    @property
    def tokenizer(self) -> str:
        """Vocabulary of the items' ``tokens``: a name or path of a Hugging Face tokenizer.

        Empty where the items have no tokens.
        """
        return ""

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

    def widened(self, tables: Tables, *, holdout_users: float) -> Tables:
        """Add ``wide`` to the checked tables; without wide features they stay as they are.

        Parameters
        ----------
        tables
            What ``tables`` gave, checked.
        holdout_users
            Share of users in [0, 1), those of ``suite.datasets.holdout.held_out``, that no fitted
            feature may see; like the windows after train.

        Raises
        ------
        ValueError
            One line, as ``tables``.
        """
        return tables
