"""Sampled negatives, for logs of positives only.

A sampled event is a copy of an observed one with an item that its user never had. It is used for
fits and prediction metrics; protocols release and link observed events only. All prediction figures
depend on how negatives are sampled (Krichene and Rendle 2020), which the dataset's name states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.datasets.base import Tables
from suite.registry import nearest

FROM = ("popular", "uniform")
"""Sampling distribution of items: in proportion to their events in the log, or uniform."""

SAMPLED = "sampled_for"
"""Column of events that include sampled ones: the copied ``event_id``, null if observed."""

_ROUNDS = 32
"""Rounds of rejection sampling before the remaining items are listed."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Negatives:
    """Number and distribution of sampled negatives.

    Attributes
    ----------
    per_positive
        Number of distinct items per observed event.
    source
        One of ``FROM``.
    seed
        Seed of the sampling.

    References
    ----------
    Krichene and Rendle, "On Sampled Metrics for Item Recommendation", KDD 2020.
    """

    per_positive: int = 4
    source: str = "popular"
    seed: int = 0

    def __str__(self) -> str:
        """Return the text shown in every table."""
        return f"sampled negatives, {self.per_positive} per positive, {self.source}"


def negatives(given: Mapping[str, Any]) -> Negatives:
    """Read ``{per_positive: 4, from: popular}``, and ``seed``.

    Raises
    ------
    ValueError
        One line: the key, what was found, what is allowed.
    """
    fields = {"per_positive": "per_positive", "from": "source", "seed": "seed"}
    for key in given:
        if key not in fields:
            raise ValueError(f"negatives: unknown key {key!r}; {nearest(str(key), fields)}")
    parsed = Negatives(**{fields[key]: value for key, value in given.items()})
    for key, least in (("per_positive", 1), ("seed", 0)):
        value = given.get(key, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"negatives.{key}: found {value!r}, must be an integer from {least}")
    if parsed.source not in FROM:
        raise ValueError(f"negatives.from: found {parsed.source!r}, allowed: {', '.join(FROM)}")
    return parsed


def observed(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events without the sampled ones."""
    return events.filter(pl.col(SAMPLED).is_null()) if SAMPLED in events.columns else events


def with_negatives(tables: Tables, log: pl.DataFrame, how: Negatives) -> Tables:
    """Add sampled negatives to a log of positives that was split into windows.

    Parameters
    ----------
    tables
        Tables in which all events are engaged.
    log
        ``user_id, item_id`` of all events, including those outside of the windows: items that a
        user had at any time are never sampled for them, and ``popular`` counts all rows.
    how
        Number and distribution.

    Returns
    -------
    Tables
        With the sampled events, which differ from the copied ones in ``item_id``, ``event_id`` and
        ``engaged``; their item was not published after the event. They do not depend on the order
        of the log.
    """
    positives = tables.events.sort("event_id").collect()
    pool = _pool(log, tables.items, how)
    chosen = _draw(positives, pool, how)
    row, nth = np.nonzero(chosen >= 0)
    first_id = positives.select(pl.col("event_id").max().fill_null(0) + 1).item()
    sampled = positives[row].with_columns(
        pl.col("event_id").alias(SAMPLED),
        event_id=pl.Series(first_id + row * how.per_positive + nth),
        item_id=pl.Series(pool.item_id[chosen[row, nth]]),
        engaged=pl.lit(value=False),
    )
    without = chosen.size - sampled.height
    missing = {"negative of a user who has had every item": without} if without else {}
    events = positives.with_columns(pl.lit(None, pl.Int64).alias(SAMPLED))
    return replace(
        tables,
        events=pl.concat([events, sampled]).lazy(),
        dropped=tables.dropped | missing,
        filled=tables.filled | {str(how): sampled.height},
    )


@dataclass(frozen=True)
class _Pool:
    """The M items to sample from, sorted by id, and the users who had them."""

    item_id: Ints
    weight: NDArray[np.float64]
    published: Ints  # us since the epoch, the least integer where unknown
    user_id: Ints
    had: Ints  # sorted user_row * M + item_row

    def is_had(self, user: Ints, item: Ints) -> NDArray[np.bool_]:
        key = user * len(self.item_id) + item
        place = np.searchsorted(self.had, key).clip(max=len(self.had) - 1)
        is_had: NDArray[np.bool_] = self.had[place] == key
        return is_had


def _pool(log: pl.DataFrame, items: pl.LazyFrame, how: Negatives) -> _Pool:
    counts = log.group_by("item_id").len("weight").sort("item_id")
    published = items.select("item_id", pl.col("published").dt.epoch("us")).collect()
    dated = counts.join(published, on="item_id", how="left", maintain_order="left")
    item_id, user_id = counts["item_id"].to_numpy(), log["user_id"].unique().sort().to_numpy()
    pairs = log.select("user_id", "item_id").unique()
    user = np.searchsorted(user_id, pairs["user_id"].to_numpy())
    item = np.searchsorted(item_id, pairs["item_id"].to_numpy())
    weight = counts["weight"].to_numpy().astype(np.float64)
    return _Pool(
        item_id,
        weight if how.source == "popular" else np.ones(len(item_id)),
        dated["published"].fill_null(np.iinfo(np.int64).min).to_numpy(),
        user_id,
        np.sort(user * len(item_id) + item),
    )


def _draw(positives: pl.DataFrame, pool: _Pool, how: Negatives) -> Ints:
    """Choose a row of the pool for each negative of each positive; -1 if none is left.

    Uses rejection sampling by weight, and after ``_ROUNDS`` rounds samples from a list of the
    allowed items.
    """
    rng = np.random.default_rng(how.seed)
    user = np.searchsorted(pool.user_id, positives["user_id"].to_numpy())
    time = positives["time"].dt.epoch("us").to_numpy()
    up_to = pool.weight.cumsum()
    chosen = np.full((positives.height, how.per_positive), -1)
    for nth in range(how.per_positive):
        waiting = np.arange(positives.height)
        for _ in range(_ROUNDS):
            item = np.searchsorted(up_to, rng.random(len(waiting)) * up_to[-1], side="right")
            item = item.clip(max=len(up_to) - 1)  # rounding may give the sum itself
            refused = pool.is_had(user[waiting], item) | (pool.published[item] > time[waiting])
            refused |= (chosen[waiting, :nth] == item[:, None]).any(axis=1)
            chosen[waiting[~refused], nth] = item[~refused]
            waiting = waiting[refused]
            if not len(waiting):
                break
        every = np.arange(len(pool.item_id))
        for row in waiting:
            allowed = ~pool.is_had(np.full(len(every), user[row]), every)
            allowed &= (pool.published <= time[row]) & ~np.isin(every, chosen[row, :nth])
            weight = np.where(allowed, pool.weight, 0)
            if weight.any():
                chosen[row, nth] = rng.choice(every, p=weight / weight.sum())
    return chosen
