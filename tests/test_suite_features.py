from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from suite.aggregates import AGGREGATES, aggregates
from suite.datasets.base import EVENTS, HISTORIES, ITEMS, WINDOWS, Tables
from suite.features import CONTINUOUS, Features, encode_histories, features, held_out

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


def test_sequence_holds_the_last_50_steps_from_the_left_with_nulls_as_zero() -> None:
    long = [(60 - i, 1, float(i), None if i % 2 else float(i)) for i in range(60)]
    short = [(2.0, 1, 5.0, 6.0), (1.0, 1, None, 8.0)]
    made = features(
        tables(
            [event(0, 1, "train", True), event(1, 2, "train", False)],
            [history(2, "train", *short), history(1, "train", *long)],
        ),
        time_zone="UTC",
        holdout_users=0,
    )
    mean, std = (np.array(made.statistics[f"sequence_{name}"]) for name in ("mean", "std"))
    raw = made.sequence * std + mean
    np.testing.assert_allclose(raw[0, :, 0], np.arange(10, 60), atol=1e-5)
    np.testing.assert_allclose(raw[0, :, 1], [0 if i % 2 else i for i in range(10, 60)], atol=1e-5)
    np.testing.assert_allclose(raw[1, :2], [[5, 6], [0, 8]], atol=1e-5)
    assert made.mask.sum(axis=1).tolist() == [50, 2]
    assert (made.sequence[1, 2:] == 0).all()


def test_what_is_fitted_standardizes_the_train_windows_trained_users() -> None:
    made = features(world(0), time_zone=COPENHAGEN, holdout_users=0.3)
    chosen = made.events.filter((pl.col("window") == "train") & pl.col("trained"))
    rows = chosen["row"].unique().to_numpy()
    assert 0 < len(rows) < 40
    fitted_on = {
        "aggregates": made.aggregates[rows],
        "sequence": made.sequence[rows][made.mask[rows]],
        "continuous": made.continuous[: made.events["window"].eq("train").sum()][
            made.events.filter(pl.col("window") == "train")["trained"].to_numpy()
        ],
    }
    # An item without a length counts for no mean and lies at it, which lowers the deviation.
    for name, array in fitted_on.items():
        x = array.astype(np.float64)
        np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5, err_msg=name)
        std = x.std(axis=0)
        if name == "continuous":
            assert (std[:3] > 0.999).all()
            assert (std <= 1.00001).all()
            assert std[CONTINUOUS.index("log_subtitle_length")] == 0
        else:
            assert (np.isclose(std, 1, atol=1e-5) | (std == 0)).all()


def test_features_of_train_depend_on_no_other_window_and_on_no_held_out_user() -> None:
    before, other = world(1), world(2)
    users = before.events.collect()["user_id"].unique().to_numpy()
    held = users[held_out(users, 0.3)].tolist()
    kept = (pl.col("window") == "train") & ~pl.col("user_id").is_in(held)
    after = replace(
        before,
        events=pl.concat([before.events.filter(kept), other.events.filter(~kept)]).with_columns(
            event_id=pl.int_range(pl.len())
        ),
        histories=pl.concat([before.histories.filter(kept), other.histories.filter(~kept)]),
    )
    made = [features(t, time_zone=COPENHAGEN, holdout_users=0.3) for t in (before, after)]
    assert held
    assert made[0].statistics == made[1].statistics
    for arrays in zip(*(of_kept(f, kept) for f in made), strict=True):
        np.testing.assert_array_equal(*arrays)
    assert not np.array_equal(made[0].aggregates[-40:], made[1].aggregates[-40:])


def of_kept(made: Features, kept: pl.Expr) -> list[NDArray[Any]]:
    events = made.events.with_row_index().filter(kept)
    index, rows = events["index"].to_numpy(), events["row"].to_numpy()
    by_history = [a[rows] for a in (made.aggregates, made.sequence, made.mask)]
    return [*by_history, *(a[index] for a in (made.categorical, made.continuous, made.labels))]


def test_what_happens_within_a_window_leaves_the_histories_as_they_were() -> None:
    before = world(3)
    later = replace(
        before,
        events=before.events.with_columns(
            pl.col("time") + pl.duration(minutes=37),
            pl.col("item_id").reverse(),
            ~pl.col("engaged"),
        ),
    )
    first, second = (features(t, time_zone="UTC", holdout_users=0.2) for t in (before, later))
    np.testing.assert_array_equal(first.aggregates, second.aggregates)
    np.testing.assert_array_equal(first.sequence, second.sequence)
    assert not np.array_equal(first.continuous, second.continuous)


def test_features_do_not_depend_on_the_order_of_the_rows_that_come_in() -> None:
    ordered = world(4)
    shuffled = replace(
        ordered,
        **{
            name: getattr(ordered, name).collect().sample(fraction=1, shuffle=True, seed=1).lazy()
            for name in ("events", "histories", "items")
        },
    )
    first, second = (
        features(t, time_zone=COPENHAGEN, holdout_users=0.2) for t in (ordered, shuffled)
    )
    assert first.events.equals(second.events)
    np.testing.assert_array_equal(first.aggregates, second.aggregates)
    np.testing.assert_array_equal(first.sequence, second.sequence)
    # The moments of events are summed in their sorted order, hence equal to the last bit.
    np.testing.assert_array_equal(first.continuous, second.continuous)


def test_events_are_sorted_and_share_one_row_per_window_and_user() -> None:
    made = features(world(5), time_zone="UTC", holdout_users=0.2)
    keys = made.events.select(
        pl.col("window").replace_strict(list(WINDOWS), [0, 1, 2]), "user_id", "time", "event_id"
    )
    assert keys.rows() == sorted(keys.rows())
    pairs = made.events.select("window", "user_id", "row").unique()
    assert pairs.height == len(made.aggregates) == 3 * 40
    assert sorted(pairs["row"]) == list(range(120))
    assert made.label_names == ("engaged", "like")
    np.testing.assert_array_equal(made.labels, made.events.select("engaged", "like").to_numpy())


def test_categories_are_numbered_by_frequency_in_train_then_by_name() -> None:
    # Category i has 40 - i events in train, but the last five, of which there is one each.
    counts = {f"c{i:02}": 40 - i if i < 30 else 1 for i in range(35)}
    items = [item(i, category=name) for i, name in enumerate(counts)]
    items.append(item(99, item_type="article"))
    ids = [i for i, count in enumerate(counts.values()) for _ in range(count)]
    events = [event(n, 1, "train", n % 2 == 0, item_id=i) for n, i in enumerate(ids)]
    events += [event(10_000 + i, 2, "test", True, item_id=i) for i in range(35) for _ in range(1)]
    events += [event(20_000 + n, 2, "test", True, item_id=99 + n) for n in range(2)]
    steps = (1.0, 1, 1.0, 1.0)
    histories = [history(1, "train", steps), history(2, "test", steps)]
    made = features(tables(events, histories, items), time_zone="UTC", holdout_users=0)
    assert made.statistics["categories"] == sorted(counts)[:31]
    test = made.events["window"].to_numpy() == "test"
    # The last two events are of an item without a category and of one that is not in the table.
    assert made.categorical[test, 0].tolist() == [*range(1, 32), 0, 0, 0, 0, 0, 0]
    assert (made.categorical[:, 1] == 0).all()


def test_context_has_the_local_hour_and_the_age_of_the_item_at_the_event() -> None:
    # 01:30 UTC is 02:30 in Copenhagen before the change of clocks, and 03:30 after it.
    times = [datetime(2023, 3, day, 1, 30, tzinfo=UTC) for day in (25, 27)]
    items = [
        item(1, published=times[0] - timedelta(hours=3), premium=True, body_length=9),
        item(2, published=times[1] + timedelta(hours=3), premium=False, body_length=99),
        item(3),
    ]
    events = [
        event(0, 1, "train", True, time=times[0], item_id=1, device=2),
        event(1, 1, "train", False, time=times[1], item_id=2, device=None),
        event(2, 1, "test", False, time=times[1], item_id=3, device=1),
        event(3, 1, "test", False, time=times[1], item_id=4, device=1),
    ]
    histories = [history(1, window, (1.0, 1, 1.0, 1.0)) for window in ("train", "test")]
    made = features(tables(events, histories, items), time_zone=COPENHAGEN, holdout_users=0)
    mean, std = (np.array(made.statistics[f"continuous_{name}"]) for name in ("mean", "std"))
    angle = 2 * np.pi * np.array([2.5, 3.5]) / 24
    raw = np.zeros((2, 8))
    raw[:, 0], raw[:, 1] = np.sin(angle), np.cos(angle)
    raw[:, 2:6] = [[2, np.log(4), 1, np.log(10)], [0, 0, 0, np.log(100)]]
    np.testing.assert_allclose(made.continuous[:2] * std + mean, raw, atol=1e-6)
    np.testing.assert_array_equal(made.continuous[2:, 3:], 0)


@pytest.mark.parametrize(
    ("user_id", "output"),
    # First outputs of SplitMix64 seeded with 0 and with 1234567, as published for Vigna's code.
    [(0, 0xE220A8397B1DCDAF), (1234567, 6457827717110365317)],
)
def test_held_out_users_follow_the_published_outputs_of_splitmix64(
    user_id: int, output: int
) -> None:
    share = (output >> 11) / 2**53
    users = np.array([user_id])
    assert not held_out(users, share).any()
    assert held_out(users, np.nextafter(share, 1)).all()


def test_held_out_users_come_close_to_the_share_and_stay_when_it_grows() -> None:
    users = np.arange(-50_000, 50_000)
    fifth, half = held_out(users, 0.2), held_out(users, 0.5)
    assert fifth.mean() == pytest.approx(0.2, abs=0.005)
    assert half.mean() == pytest.approx(0.5, abs=0.005)
    assert half[fifth].all()
    assert not held_out(users, 0).any()
    assert held_out(users, 1).all()


def test_saved_features_come_back_equal_and_mapped_from_the_file(tmp_path: Path) -> None:
    made = features(world(6), time_zone="UTC", holdout_users=0.2)
    made.save(tmp_path / "features")
    back = Features.load(tmp_path / "features")
    assert back.events.equals(made.events)
    assert back.events.schema == made.events.schema
    for name in ("aggregates", "sequence", "mask", "categorical", "continuous", "labels"):
        array, expected = getattr(back, name), getattr(made, name)
        assert isinstance(array, np.memmap)
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    assert (back.label_names, back.dropped, back.filled) == (made.label_names, made.dropped, {})
    assert made.dropped == {"read time is null": 3}
    assert back.statistics == made.statistics


def test_histories_encoded_later_equal_those_of_the_features() -> None:
    given = world(7)
    made = features(given, time_zone=COPENHAGEN, holdout_users=0.2)
    rows = made.events.unique("row", maintain_order=True).select("window", "user_id")
    histories = rows.join(
        given.histories.collect(), on=["window", "user_id"], maintain_order="left"
    )
    again = encode_histories(
        histories,
        given.items,
        starts=STARTS,
        time_zone=COPENHAGEN,
        statistics=made.statistics,
    )
    for array, expected in zip(again, (made.aggregates, made.sequence, made.mask), strict=True):
        np.testing.assert_array_equal(array, expected)


STEP = (1.0, 1, 1.0, 1.0)


@pytest.mark.parametrize(
    ("given", "holdout", "message"),
    [
        (
            tables([event(0, 1, "test", True)], [history(1, "test", STEP)]),
            0,
            "window train has no event of a trained user",
        ),
        (
            tables([event(0, 1, "train", True)], [history(1, "train", STEP)]),
            1,
            "window train has no event of a trained user",
        ),
        (
            tables(
                [event(0, 1, "train", True), event(1, 1, "test", False)],
                [history(1, "train", STEP), history(1, "test", STEP)],
            ),
            0,
            "label engaged is always True among the 1 train events",
        ),
        (
            tables(
                [event(0, 1, "train", True), event(1, 2, "train", False)],
                [history(1, "train", STEP), history(2, "test", STEP)],
            ),
            0,
            "1 users with events have no history, first user_id 2 in window train",
        ),
        (
            tables(
                [event(0, 1, "train", True), event(1, 1, "train", False)],
                [history(1, "train", STEP, (0.5, 1, math.inf, 1.0))],
            ),
            0,
            "channel_1 is NaN or infinite in 2 of 2 rows",
        ),
    ],
)
def test_tables_that_cannot_be_fitted_are_refused_in_one_line(
    given: Tables, holdout: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        features(given, time_zone="UTC", holdout_users=holdout)
    assert "\n" not in str(error.value)


def test_a_table_without_the_engaged_column_is_refused() -> None:
    given = tables([event(0, 1, "train", True)], [history(1, "train", STEP)])
    without = replace(given, events=given.events.rename({"engaged": "like"}))
    with pytest.raises(ValueError, match=r"column engaged is missing.*\['like'\]"):
        features(without, time_zone="UTC", holdout_users=0)
