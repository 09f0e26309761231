from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from suite.artifacts.features import Features
from suite.datasets.base import WINDOWS, Tables
from suite.datasets.holdout import held_out
from suite.features.encode import CONTINUOUS, encode_histories, features
from tests.canonical import (
    COPENHAGEN,
    STARTS,
    WIDE,
    event,
    history,
    item,
    tables,
    wide_world,
    world,
)


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
    for name, array in again._asdict().items():
        np.testing.assert_array_equal(array, getattr(made, name))


def test_the_favorite_category_is_the_most_frequent_of_the_history_not_of_the_events() -> None:
    categories = {1: "news", 2: "sport", 3: "sport", 4: None, 5: "weather", 6: "other"}
    steps = {
        1: [2, 3, 1],
        2: [1, 2, 1, 5],
        3: [2, 1],  # as often: the first by name
        4: [4, 4, 5],  # an unknown category is none
        5: [4, 99],
        6: [6, 6, 1],  # never seen in train
    }
    events = [event(i, user, "train", i % 2 == 0, item_id=1) for i, user in enumerate(steps)]
    events += [event(i + 10, i, "train", True, item_id=item) for i, item in ((1, 2), (2, 5))]
    histories = [
        history(user, "train", *((9.0 - i, item, 1.0, 1.0) for i, item in enumerate(items)))
        for user, items in steps.items()
    ]
    items = [item(number, category=name) for number, name in categories.items()]
    made = features(tables(events, histories, items), time_zone="UTC", holdout_users=0)
    known = [None, *made.statistics["categories"]]
    first = made.events.unique("row", keep="first", maintain_order=True)
    assert first["user_id"].to_list() == list(steps)
    names = [known[number] for number in made.favorite]
    assert names == ["sport", "news", "news", "weather", None, None]


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
            "^histories: missing 1 of 2 that events need, first that of user_id 2 in window train",
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


def test_wide_features_are_raw_and_their_moments_are_those_of_the_trained_users() -> None:
    given = wide_world(0)
    made = features(given, time_zone=COPENHAGEN, holdout_users=0.3)
    assert given.wide is not None
    table = {row[0]: row[1:] for row in given.wide.collect().iter_rows()}
    expected = np.array([table[e] for e in made.events["event_id"]], dtype=np.float32)
    np.testing.assert_array_equal(made.wide, expected)
    assert 0.05 < np.isnan(made.wide).mean() < 0.15
    chosen = (made.events["window"] == "train") & made.events["trained"]
    fitted_on = made.wide[chosen.to_numpy()].astype(np.float64)
    assert made.wide_features == WIDE
    for name, moment in (("mean", np.nanmean), ("std", np.nanstd)):
        np.testing.assert_allclose(
            made.statistics[f"wide_{name}"], moment(fitted_on, axis=0), rtol=1e-5
        )


def test_wide_features_and_texts_come_back_from_disk(tmp_path: Path) -> None:
    made = features(wide_world(1), time_zone="UTC", holdout_users=0)
    made.save(tmp_path)
    again = Features.load(tmp_path)
    for name in ("wide", "tokens", "text_row"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    assert again.wide_features == WIDE
    assert made.tokens.shape[1] == 4


def test_without_wide_features_and_texts_their_arrays_are_empty() -> None:
    made = features(world(0), time_zone="UTC", holdout_users=0)
    assert made.wide.shape == (len(made.events), 0)
    assert made.tokens.shape == (1, 0)
    assert not made.text_row.any()
