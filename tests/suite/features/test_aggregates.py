from __future__ import annotations

import math
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from suite.datasets.base import HISTORIES, ITEMS, WINDOWS
from suite.features.aggregates import AGGREGATES, aggregates
from tests.canonical import COPENHAGEN, STARTS, Row, frame, history, item


def numbers(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if v is None else np.float32(v) for v in values], dtype=np.float64)


def described_slowly(row: Row, category: dict[int, str | None], zone: str) -> list[float]:
    """Compute the 27 aggregates of one history, in NumPy and plain Python."""
    first, second = numbers(row["channel_1"]), numbers(row["channel_2"])
    result: list[float] = []
    for channel in (first, second):
        x = channel[~np.isnan(channel)]
        quantiles = np.quantile(x, [0, 0.25, 0.5, 0.75, 1]) if len(x) else np.zeros(5)
        result += [x.mean() if len(x) else 0, x.std() if len(x) else 0, *quantiles]
    local = [t.astimezone(ZoneInfo(zone)) for t in row["time"]]
    n = len(local)
    known = [c for i in row["item_id"] if (c := category.get(i)) is not None]
    shares = np.array([known.count(c) / len(known) for c in set(known)])
    hours = (STARTS[row["window"]] - row["time"][-1]) / timedelta(hours=1)
    result += [math.log1p(n), len(set(row["item_id"])) / n, float(-(shares * np.log(shares)).sum())]
    result += [len({t.date() for t in local}), math.log1p(hours)]
    result += [sum(t.isoweekday() > 5 for t in local) / n, sum(t.hour >= 18 for t in local) / n]
    engaged = [a > 30 and b > 50 for a, b in zip(first, second, strict=True)]
    result += [sum(engaged) / n, (second > 80).sum() / n, (first > 60).sum() / n]
    for channel in (first, second):
        x, last = channel[~np.isnan(channel)], channel[-5:]
        last = last[~np.isnan(last)]
        defined = len(last) and x.mean() != 0
        result.append(float(np.clip(last.mean() / x.mean(), 0.1, 10)) if defined else 1.0)
    both = ~np.isnan(first) & ~np.isnan(second)
    x, y = first[both], second[both]
    varies = both.any() and np.ptp(x) > 0 and np.ptp(y) > 0
    result.append(float(np.corrcoef(x, y)[0, 1]) if varies else 0.0)
    return result


def values() -> st.SearchStrategy[list[float | None]]:
    """Channels: constant, all null, or mixed, on a grid that has the thresholds on it."""
    grid = st.integers(0, 40).map(lambda i: i * 2.5)
    return st.one_of(
        st.lists(st.one_of(st.none(), grid), min_size=70, max_size=70),
        st.lists(st.none(), min_size=70, max_size=70),
        grid.map(lambda v: [v] * 70),
    )


@st.composite
def any_history(draw: st.DrawFn) -> Row:
    n = draw(st.integers(1, 70))
    minutes = draw(st.lists(st.integers(1, 60 * 24 * 21), min_size=n, max_size=n))
    ids = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    first, second = draw(values())[:n], draw(values())[:n]
    hours = [m / 60 for m in sorted(minutes, reverse=True)]
    return history(0, draw(st.sampled_from(WINDOWS)), *zip(hours, ids, first, second, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(any_history(), min_size=1, max_size=4),
    zone=st.sampled_from([COPENHAGEN, "Asia/Shanghai", "America/New_York"]),
)
def test_aggregates_equal_a_slow_reference_on_any_history(rows: list[Row], zone: str) -> None:
    category = {i: None if i > 6 else f"c{i % 4}" for i in range(9)}
    items = frame([item(i, category=c) for i, c in category.items()], ITEMS)
    found = aggregates(frame(rows, HISTORIES), items, starts=STARTS, time_zone=zone).collect()
    assert found.columns == list(AGGREGATES)
    expected = [described_slowly(row, category, zone) for row in rows]
    np.testing.assert_allclose(found.to_numpy(), expected, rtol=1e-9, atol=1e-9)


def test_aggregates_of_one_user_equal_those_computed_by_hand() -> None:
    # The window starts on Monday at 05:00 UTC, 07:00 in Copenhagen. Local times of the steps:
    # Saturday 19:00 (before the change of clocks), Sunday 07:00, Sunday 23:00, Monday 06:00.
    steps = [(35, 1, 10, 20), (24, 2, 40, None), (8, 1, 70, 90), (1, 3, 40, 100)]
    items = frame([item(1, category="a"), item(2, category="b"), item(3)], ITEMS)
    found = aggregates(
        frame([history(7, "train", *steps)], HISTORIES),
        items,
        starts=STARTS,
        time_zone=COPENHAGEN,
    ).collect()
    expected = {
        "channel_1_mean": 40,
        "channel_1_std": math.sqrt(450),
        "channel_1_min": 10,
        "channel_1_p25": 32.5,
        "channel_1_median": 40,
        "channel_1_p75": 47.5,
        "channel_1_max": 70,
        "channel_2_mean": 70,
        "channel_2_std": math.sqrt((50**2 + 20**2 + 30**2) / 3),
        "channel_2_min": 20,
        "channel_2_p25": 55,
        "channel_2_median": 90,
        "channel_2_p75": 95,
        "channel_2_max": 100,
        "log_length": math.log(5),
        "distinct_share": 3 / 4,
        "category_entropy": math.log(3) - 2 / 3 * math.log(2),
        "active_days": 3,
        "log_hours_since_last": math.log(2),
        "weekend_share": 3 / 4,
        "evening_share": 2 / 4,
        "engagement_rate": 2 / 4,
        "deep_scroll_rate": 2 / 4,
        "long_read_rate": 1 / 4,
        "channel_1_momentum": 1,
        "channel_2_momentum": 1,
        # Over the three steps with both: x - mean = -30, 30, 0; y - mean = -50, 20, 30.
        "channel_correlation": 2100 / math.sqrt(1800 * 3800),
    }
    assert found.row(0, named=True) == pytest.approx(expected)


def test_momentum_is_the_mean_of_the_last_five_steps_over_the_mean_of_all_within_limits() -> None:
    long = [(100 - i, 1, 0.0 if i < 95 else 100.0, 1.0 if i < 95 else 0.0) for i in range(100)]
    some = [(10 - i, 1, 10.0 if i < 5 else 30.0, None) for i in range(10)]
    rows = frame([history(1, "train", *long), history(2, "train", *some)], HISTORIES)
    found = aggregates(rows, frame([item(1)], ITEMS), starts=STARTS, time_zone="UTC").collect()
    assert found["channel_1_momentum"].to_list() == [10, 1.5]
    assert found["channel_2_momentum"].to_list() == [0.1, 1]


def test_correlation_is_zero_where_a_channel_is_constant_over_the_steps_with_both() -> None:
    rows = [
        history(1, "train", (3, 1, 10, None), (2, 1, 20, 5), (1, 1, 20, 9)),
        history(2, "train", (3, 1, None, 1), (2, 1, 20, 5), (1, 1, 30, 5)),
        history(3, "train", (3, 1, None, 1), (2, 1, 20, 5), (1, 1, 30, 6)),
    ]
    items = frame([item(1)], ITEMS)
    found = aggregates(frame(rows, HISTORIES), items, starts=STARTS, time_zone="UTC").collect()
    assert found["channel_correlation"].to_list() == pytest.approx([0, 0, 1])
