"""Small canonical tables, by hand and at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from suite.datasets.base import (
    EVENTS,
    HISTORIES,
    ITEMS,
    WINDOWS,
    Dataset,
    Tables,
    WideFeature,
)

COPENHAGEN = "Europe/Copenhagen"
STARTS = {
    "train": datetime(2023, 3, 27, 5, tzinfo=UTC),
    "validation": datetime(2023, 4, 3, 5, tzinfo=UTC),
    "test": datetime(2023, 4, 6, 5, tzinfo=UTC),
}
"""The clocks of Copenhagen went forward on 26 March 2023 at 01:00 UTC, within the histories."""

Row = dict[str, Any]


def frame(rows: Sequence[Row], schema: Any) -> pl.LazyFrame:
    labels = {key: pl.Boolean for row in rows for key in row if key not in schema}
    return pl.LazyFrame(rows, schema={**schema, **labels})


def history(
    user: int,
    window: str,
    *steps: tuple[float, int, float | None, float | None],
) -> Row:
    """Steps are hours before the window's start, item and both channels."""
    hours, items, first, second = ([*column] for column in zip(*steps, strict=True))
    return {
        "user_id": user,
        "window": window,
        "time": [STARTS[window] - timedelta(hours=h) for h in hours],
        "item_id": items,
        "channel_1": first,
        "channel_2": second,
    }


def event(event_id: int, user: int, window: str, engaged: bool, **other: Any) -> Row:
    known = {"item_id": 1, "time": STARTS[window], "session_id": None, "device": 1}
    ids = {"event_id": event_id, "user_id": user, "window": window, "engaged": engaged}
    return {**known, **ids, **other}


def item(item_id: int, **known: Any) -> Row:
    return {**dict.fromkeys(ITEMS), "item_id": item_id, **known}


def tables(
    events: Sequence[Row], histories: Sequence[Row], items: Sequence[Row] = (item(1),)
) -> Tables:
    return Tables(
        frame(events, EVENTS),
        frame(histories, HISTORIES),
        frame(items, ITEMS),
        STARTS,
        dropped={"read time is null": 3},
    )


def world(seed: int, users: int = 40, num_items: int = 80) -> Tables:
    """Users with 1 to 80 steps in each window, a tenth of the values null."""
    rng = np.random.default_rng(seed)

    def value(scale: float) -> float | None:
        return None if rng.random() < 0.1 else float(rng.exponential(scale))

    histories: list[Row] = []
    events: list[Row] = []
    for window in WINDOWS:
        for user in range(users):
            hours = np.sort(rng.uniform(0.01, 500, rng.integers(1, 80)))[::-1]
            steps = [(h, int(rng.integers(num_items)), value(40), value(60)) for h in hours]
            histories.append(history(user, window, *steps))
            for _ in range(rng.integers(1, 6)):
                events.append(
                    event(
                        len(events),
                        user,
                        window,
                        bool(rng.random() < 0.4),
                        item_id=int(rng.integers(num_items + 5)),
                        time=STARTS[window] + timedelta(minutes=int(rng.integers(4000))),
                        device=int(rng.integers(4)),
                        like=bool(rng.random() < 0.5),
                    )
                )
    items = [
        item(
            i,
            category=None if i % 7 == 0 else f"category {int(rng.integers(40))}",
            item_type=str(rng.choice(["article", "gallery"])),
            published=STARTS["train"] - timedelta(hours=float(rng.uniform(-50, 500))),
            premium=bool(rng.random() < 0.2),
            body_length=int(rng.integers(5000)),
            title_length=int(rng.integers(100)),
        )
        for i in range(num_items)
    ]
    return tables(events, histories, items)


WIDE = (
    WideFeature("length", "content", "characters", "text"),
    WideFeature("followers", "creator", "count", "creator"),
    WideFeature("following", "reader", "count", "reader"),
    WideFeature("joint", "reader_creator", "count", "past"),
)


def wide_world(seed: int, **sizes: int) -> Tables:
    """``world`` with four wide features, a tenth unknown, and an item's text in five tokens."""
    rng = np.random.default_rng(seed)
    found = world(seed, **sizes)
    ids = found.events.select("event_id").collect()
    values = rng.lognormal(3, 2, size=(len(ids), len(WIDE))).astype(np.float32)
    columns = {
        feature.name: pl.Series(column).set(pl.Series(rng.random(len(ids)) < 0.1), None)
        for feature, column in zip(WIDE, values.T, strict=True)
    }
    wide = ids.with_columns(**columns).sample(fraction=1, shuffle=True, seed=seed)
    tokens = pl.concat_list(
        pl.lit(101), 1000 + pl.col("item_id") % 7, 2000 + pl.col("item_id") % 3, pl.lit(102)
    )
    items = found.items.with_columns(tokens=tokens.cast(pl.List(pl.Int32)))
    return replace(found, items=items, wide=wide.lazy(), wide_features=WIDE)


@dataclass(frozen=True, kw_only=True)
class WideWorld(Dataset):
    """``wide_world`` as a user's own dataset.

    Parameters
    ----------
    users
        Number of users.
    """

    users: int = 60

    @property
    def synthetic(self) -> bool:
        return True

    def files(self) -> list[Path]:
        return []

    def tables(self) -> Tables:
        found = wide_world(3, users=self.users)
        return replace(found, wide=None, wide_features=())

    def widened(self, tables: Tables, *, holdout_users: float) -> Tables:
        found = wide_world(3, users=self.users)
        ids = tables.events.select("event_id")
        assert found.wide is not None
        kept = found.wide.join(ids, on="event_id", how="semi")
        return replace(tables, wide=kept, wide_features=found.wide_features)
