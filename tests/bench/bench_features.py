"""Features at the size of EB-NeRD small, against a loop over users in pandas.

The loop computes the same 27 aggregates for a slice of the histories; its time is scaled by the
number of histories, and the two are timed in turn.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from suite.datasets.base import EVENTS, HISTORIES, ITEMS, Tables
from suite.features.aggregates import AGGREGATES, aggregates
from suite.features.encode import features

USERS, EVENTS_IN_ALL, ITEMS_IN_ALL, SLICE, ROUNDS = 15_000, 230_000, 20_000, 200, 3
ZONE = "Europe/Copenhagen"
START = datetime(2023, 5, 18, 5, tzinfo=UTC)


def make_tables(rng: np.random.Generator) -> Tables:
    """Fill the canonical tables with noise of EB-NeRD's sizes, all of it in the train window."""
    length = np.clip(rng.lognormal(4.55, 0.75, USERS), 5, 2696).astype(int)
    user = np.repeat(np.arange(USERS), length)
    before = rng.integers(1, 21 * 86_400, len(user))
    before = before[np.lexsort((-before, user))]
    start_us = int(START.timestamp()) * 1_000_000
    steps = pl.DataFrame(
        {
            "user_id": user,
            "time": start_us - before * 1_000_000,
            "item_id": rng.integers(0, ITEMS_IN_ALL, len(user)),
            "channel_1": rng.exponential(40, len(user)),
            "channel_2": np.where(
                rng.random(len(user)) < 0.1, np.nan, rng.uniform(0, 100, len(user))
            ),
        }
    ).with_columns(pl.col("channel_2").fill_nan(None), pl.lit("train").alias("window"))
    histories = (
        steps.group_by("user_id", "window", maintain_order=True)
        .agg(pl.all())
        .select(*HISTORIES)
        .cast(HISTORIES)
    )
    events = pl.DataFrame(
        {
            "event_id": np.arange(EVENTS_IN_ALL),
            "user_id": rng.integers(0, USERS, EVENTS_IN_ALL),
            "item_id": rng.integers(0, ITEMS_IN_ALL, EVENTS_IN_ALL),
            "time": start_us + rng.integers(0, 7 * 86_400 * 1_000_000, EVENTS_IN_ALL),
            "window": ["train"] * EVENTS_IN_ALL,
            "session_id": rng.integers(0, 10**6, EVENTS_IN_ALL),
            "device": rng.integers(0, 4, EVENTS_IN_ALL),
            "engaged": rng.random(EVENTS_IN_ALL) < 0.4,
        }
    ).cast(EVENTS)
    items = pl.DataFrame(
        {
            "item_id": np.arange(ITEMS_IN_ALL),
            "category": rng.choice([f"category {i}" for i in range(32)], ITEMS_IN_ALL),
            "item_type": rng.choice(["article", "gallery", "feature"], ITEMS_IN_ALL),
            "published": start_us - rng.integers(0, 30 * 86_400 * 1_000_000, ITEMS_IN_ALL),
            "premium": rng.random(ITEMS_IN_ALL) < 0.2,
            "body_length": rng.integers(0, 47_355, ITEMS_IN_ALL),
            "title_length": rng.integers(10, 120, ITEMS_IN_ALL),
            "subtitle_length": rng.integers(0, 300, ITEMS_IN_ALL),
        }
    ).cast(ITEMS)
    return Tables(events.lazy(), histories.lazy(), items.lazy(), {"train": START})


def loop(histories: pd.DataFrame, categories: pd.Series[str]) -> NDArray[np.float64]:
    """Compute the aggregates user by user, as one would in a notebook."""
    rows: list[list[float]] = []
    for user in histories.to_dict("records"):
        frame = pd.DataFrame(
            {
                "time": pd.DatetimeIndex(user["time"], tz="UTC").tz_convert(ZONE),
                "item": user["item_id"],
                "first": user["channel_1"],
                "second": user["channel_2"],
            }
        ).astype({"first": float, "second": float})
        row: list[float] = []
        for channel in (frame["first"], frame["second"]):
            low, median, high = channel.quantile([0.25, 0.5, 0.75])
            row += [channel.mean(), channel.std(ddof=0), channel.min()]
            row += [low, median, high, channel.max()]
        share = frame["item"].map(categories).value_counts(normalize=True)
        since = (pd.Timestamp(START) - frame["time"].iloc[-1]) / timedelta(hours=1)
        row += [np.log1p(len(frame)), frame["item"].nunique() / len(frame)]
        row += [-(share * np.log(share)).sum(), frame["time"].dt.date.nunique(), np.log1p(since)]
        row += [(frame["time"].dt.day_of_week >= 5).mean(), (frame["time"].dt.hour >= 18).mean()]
        row += [((frame["first"] > 30) & (frame["second"] > 50)).mean()]
        row += [(frame["second"] > 80).mean(), (frame["first"] > 60).mean()]
        for channel in (frame["first"], frame["second"]):
            row.append(np.clip(channel.tail(5).mean() / channel.mean(), 0.1, 10))
        row.append(frame["first"].corr(frame["second"]))
        rows.append(row)
    return np.array(rows)


def test_features_cost_a_fraction_of_a_loop_over_users(
    benchmark: BenchmarkFixture, told: Callable[..., None]
) -> None:
    tables = make_tables(np.random.default_rng(0))
    histories = tables.histories.collect()
    some = histories.head(SLICE)
    some_pandas = some.select("time", "item_id", "channel_1", "channel_2").to_pandas()
    categories = tables.items.collect().to_pandas().set_index("item_id")["category"]
    own_s, loop_s, aggregates_s = [], [], []

    def once() -> None:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            features(tables, time_zone=ZONE, holdout_users=0.2)
            own_s.append(time.perf_counter() - began)
            began = time.perf_counter()
            aggregates(
                tables.histories, tables.items, starts=tables.starts, time_zone=ZONE
            ).collect(engine="streaming")
            aggregates_s.append(time.perf_counter() - began)
            began = time.perf_counter()
            slow = loop(some_pandas, categories)
            loop_s.append((time.perf_counter() - began) * USERS / SLICE)
            fast = aggregates(
                some.lazy(), tables.items, starts=tables.starts, time_zone=ZONE
            ).collect()
            np.testing.assert_allclose(fast.to_numpy(), slow, rtol=1e-6, atol=1e-6)

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    own, ours, theirs = (statistics.median(s) for s in (own_s, aggregates_s, loop_s))
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    told(
        {
            "users": USERS,
            "events": EVENTS_IN_ALL,
            "steps": int(histories["time"].list.len().sum()),
            "aggregates": len(AGGREGATES),
            "features_s": round(own, 3),
            "aggregates_s": round(ours, 3),
            "pandas_loop_scaled_s": round(theirs, 1),
            "ratio_aggregates": round(theirs / ours, 1),
            "ratio_all_features": round(theirs / own, 1),
            "peak_process_mib": round(peak_mib),
            "threads": pl.thread_pool_size(),
        }
    )
