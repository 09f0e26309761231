"""Summary figures of a dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from suite.datasets.base import WINDOWS, Tables
from suite.datasets.check import linkable_users
from suite.datasets.negatives import SAMPLED, observed


@dataclass(frozen=True)
class Description:
    """Figures of checked tables.

    Attributes
    ----------
    num_events, num_users, num_items
        Number of observed events, their users and their items, over all windows.
    events_per_user
        Median number of events per user.
    history_length
        Median length of histories over users and windows.
    windows
        By window: ``start``, ``events``, ``users``, ``sampled`` events if there are any, and the
        share of positives of each label, sampled events included; if users have their own
        windows, ``start`` and ``last_start`` are the first and the last of their starts.
    linkable_users
        Number of users with at least 4 events in train and in test, which the protocols use.
    dropped, filled
        Number of rows left out, and kept with an imputed value, by reason.
    """

    num_events: int
    num_users: int
    num_items: int
    events_per_user: float
    history_length: float
    windows: dict[str, dict[str, str | int | float]]
    linkable_users: int
    dropped: dict[str, int]
    filled: dict[str, int]


def describe(tables: Tables) -> Description:
    """Compute the summary of checked tables."""
    with_sampled = tables.events.collect()
    events = observed(with_sampled)
    labels = [name for name, dtype in events.schema.items() if dtype == pl.Boolean]
    lengths = tables.histories.select(pl.col("time").list.len().median()).collect().item()
    per_user = events.group_by("user_id").len()["len"].to_numpy()
    windows: dict[str, dict[str, str | int | float]] = {}
    for window in WINDOWS:
        rows = with_sampled.filter(pl.col("window") == window)
        seen = observed(rows)
        sampled = {"sampled": rows.height - seen.height} if SAMPLED in rows.columns else {}
        windows[window] = {
            **_starts(tables, window),
            "events": seen.height,
            "users": seen["user_id"].n_unique(),
            **sampled,
            **rows.select(pl.col(labels).mean()).row(0, named=True),
        }
    return Description(
        num_events=events.height,
        num_users=len(per_user),
        num_items=events["item_id"].n_unique(),
        events_per_user=float(np.median(per_user)),
        history_length=lengths,
        windows=windows,
        linkable_users=linkable_users(events),
        dropped=dict(tables.dropped),
        filled=dict(tables.filled),
    )


def _starts(tables: Tables, window: str) -> dict[str, str]:
    if "start" not in tables.histories.collect_schema():
        return {"start": tables.starts[window].isoformat()}
    start = pl.col("start")
    own = tables.histories.filter(pl.col("window") == window)
    first, last = own.select(first=start.min(), last=start.max()).collect().row(0)
    return {"start": first.isoformat(), "last_start": last.isoformat()}
