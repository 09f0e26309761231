"""The log as arrays: users and tweets by row number, and what was known at an instant.

Shape letters: N interactions, U users (readers and creators), T tweets, E events of a slice,
F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.datasets.base import Group, WideFeature
from suite.datasets.tweets.layout import LABELS
from suite.datasets.tweets.read import Log

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NEVER = np.iinfo(np.int64).max
"""Time of an engagement that did not happen."""

OUTCOMES = ("engaged", *LABELS)


@dataclass(frozen=True)
class Rows:
    """Interactions, one entry each.

    Attributes
    ----------
    event_id : (N,)
    reader, creator : (N,)
        Rows of the users, [0, U).
    tweet : (N,)
        Row of the tweets, [0, T).
    time : (N,)
        Of the tweet, in seconds since the epoch.
    follows : (N,)
        Whether the creator follows the reader.
    at : (N, 5)
        Time of each of ``OUTCOMES``, ``NEVER`` where it did not happen.
    reader_account, creator_account : (N, 4)
        Followers, following, verified (0 or 1) and time of creation.
    """

    event_id: Ints
    reader: Ints
    creator: Ints
    tweet: Ints
    time: Ints
    follows: Bools
    at: Ints
    reader_account: NDArray[np.float64]
    creator_account: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.event_id)

    def where(self, chosen: Bools) -> Rows:
        """Keep the chosen interactions."""
        return Rows(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def rows_of(log: Log) -> tuple[Rows, Ints]:
    """Turn a log into arrays.

    Returns
    -------
    rows
        In the order of the log.
    user_id : (U,)
        Identifiers of the users, ascending.
    """
    frame = log.rows
    user_id = np.unique(
        np.concatenate([frame["reader_id"].to_numpy(), frame["creator_id"].to_numpy()])
    )
    tweet_row = log.tweets.select("tweet_id").with_row_index("tweet")
    tweet = frame.select("tweet_id").join(
        tweet_row, on="tweet_id", how="left", maintain_order="left"
    )
    times = frame.select(pl.col(f"{name}_at").fill_null(NEVER).cast(pl.Int64) for name in OUTCOMES)

    def account(role: str) -> NDArray[np.float64]:
        names = [f"{role}_{part}" for part in ("followers", "following", "verified", "created")]
        return frame.select(pl.col(names).cast(pl.Float64)).to_numpy()

    rows = Rows(
        event_id=frame["event_id"].to_numpy(),
        reader=np.searchsorted(user_id, frame["reader_id"].to_numpy()),
        creator=np.searchsorted(user_id, frame["creator_id"].to_numpy()),
        tweet=tweet["tweet"].cast(pl.Int64).to_numpy(),
        time=frame["time"].to_numpy(),
        follows=frame["follows"].to_numpy(),
        at=times.to_numpy(),
        reader_account=account("reader"),
        creator_account=account("creator"),
    )
    return rows, user_id


@dataclass(frozen=True)
class Past:
    """What was known of the interactions before an instant.

    Attributes
    ----------
    rows
        Interactions whose tweet is older than the instant and in the look-back.
    known : (n, 5)
        Which of ``OUTCOMES`` had happened before the instant.
    num_users
        U.
    """

    rows: Rows
    known: Bools
    num_users: int

    @classmethod
    def of(cls, rows: Rows, start_s: int, history_s: int, num_users: int) -> Past:
        """Look back from ``start_s`` over ``history_s`` seconds."""
        before = rows.where((rows.time < start_s) & (rows.time >= start_s - history_s))
        return cls(before, before.at < start_s, num_users)

    def counts(self, users: Ints) -> Floats:
        """Count interactions and each of the outcomes by user, (6, U)."""
        shown = np.bincount(users, minlength=self.num_users)
        outcomes = [np.bincount(users[known], minlength=self.num_users) for known in self.known.T]
        return np.stack([shown, *outcomes]).astype(np.float32)

    def engaged_mean(self, users: Ints, values: NDArray[np.float64]) -> Floats:
        """Average values (n, c) over each user's engaged interactions, (c, U); null for none."""
        engaged = self.known[:, 0]
        count = np.bincount(users[engaged], minlength=self.num_users)
        sums = [
            np.bincount(users[engaged], weights=column, minlength=self.num_users)
            for column in values[engaged].T
        ]
        return ratio(np.stack(sums), count)

    def last(self, users: Ints, times: Ints) -> Ints:
        """Latest of the times before the instant by user, (U,); -1 for none."""
        found = np.full(self.num_users, -1, dtype=np.int64)
        np.maximum.at(found, users, times)
        return found


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """Divide, with NaN where the whole is 0."""
    whole = np.broadcast_to(whole, part.shape)
    out = np.full(part.shape, np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out.astype(np.float32)


def hours_since(now: Ints, then: Ints) -> Floats:
    """Hours from ``then`` to ``now``; NaN where ``then`` is negative."""
    return np.where(then >= 0, (now - then) / 3600, np.nan).astype(np.float32)


def declare(group: Group, table: Sequence[tuple[str, str, str]]) -> tuple[WideFeature, ...]:
    """Features of one group from rows of name, unit and source."""
    return tuple(WideFeature(name, group, unit, source) for name, unit, source in table)


def outcome_features(prefix: str, shown: str, source: str) -> list[tuple[str, str, str]]:
    """Name counts of ``Past.counts`` and their shares of what was shown."""
    return [
        (f"{prefix}_{shown}", "count", source),
        *((f"{prefix}_{name}", "count", f"{source}, {name}") for name in OUTCOMES),
        *((f"{prefix}_{name}_rate", "share", f"{source}, {name}") for name in OUTCOMES),
    ]


def with_rates(counts: Floats) -> Floats:
    """Append each outcome's share of what was shown to ``Past.counts``, (6, n) to (11, n)."""
    return np.concatenate([counts, ratio(counts[1:], counts[0])])
