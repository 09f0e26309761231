from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from suite.datasets.base import EVENTS, HISTORIES, ITEMS, WINDOWS, Tables, WideFeature
from suite.datasets.check import check, check_wide, linkable_users
from suite.datasets.describe import describe

START = datetime(2023, 5, 18, tzinfo=ZoneInfo("UTC"))
STARTS = {window: START + timedelta(days=7 * n) for n, window in enumerate(WINDOWS)}


def events_of(users=(1, 2), per_window=4):
    rows = [
        {
            "user_id": user,
            "item_id": 5 + number % 2,
            "time": start + timedelta(hours=number),
            "window": window,
            "session_id": None,
            "device": None,
            "engaged": number % 2 == 0,
        }
        for window, start in STARTS.items()
        for user in users
        for number in range(per_window)
    ]
    return pl.DataFrame([{"event_id": n, **row} for n, row in enumerate(rows)], schema=EVENTS)


def histories_of(users=(1, 2)):
    return pl.DataFrame(
        [
            {
                "user_id": user,
                "window": window,
                "time": [start - timedelta(hours=hours) for hours in (3, 2, 1)],
                "item_id": [5, 6, 5],
                "channel_1": [1.0, None, 3.0],
                "channel_2": [50.0, 60.0, None],
            }
            for window, start in STARTS.items()
            for user in users
        ],
        schema=HISTORIES,
    )


def valid():
    items = pl.DataFrame({"item_id": [5, 6]}).with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in ITEMS.items() if name != "item_id"
    )
    return Tables(events_of().lazy(), histories_of().lazy(), items.lazy(), dict(STARTS))


def changed(table, *expressions, **columns):
    tables = valid()
    return replace(tables, **{table: getattr(tables, table).with_columns(*expressions, **columns)})


def at(row, column, value):
    """Column with one value replaced, in a table of any length."""
    return pl.when(pl.int_range(pl.len()) == row).then(value).otherwise(column).alias(column)


def message(tables):
    with pytest.raises(ValueError, match=r".") as error:
        check(tables)
    text = str(error.value)
    assert "\n" not in text
    return text


def test_valid_tables_pass_and_checking_twice_changes_nothing():
    once = check(valid())
    twice = check(once)

    assert once.events.collect().equals(events_of())
    assert twice.events.collect().equals(once.events.collect())
    assert twice.histories.collect().equals(histories_of())
    assert twice.dropped == once.dropped == {"duplicate row": 0, "no history": 0}


def test_events_come_out_in_one_order_whatever_the_order_they_came_in():
    tables = valid()
    shuffled = replace(tables, events=events_of().sample(fraction=1, shuffle=True, seed=3).lazy())

    assert check(shuffled).events.collect().equals(events_of())


def test_missing_columns_and_wrong_dtypes_are_listed_in_one_line():
    tables = changed("events", pl.col("user_id").cast(pl.Int32))
    tables = replace(tables, events=tables.events.drop("device"))

    assert (
        message(tables)
        == "events: user_id is Int32, must be Int64; device is missing, must be Int8"
    )


@pytest.mark.parametrize("table", ["histories", "items"])
def test_every_table_is_checked_for_its_columns(table):
    tables = valid()
    without = getattr(tables, table).drop("item_id")

    assert message(replace(tables, **{table: without})).startswith(f"{table}: item_id is missing")


@pytest.mark.parametrize("table", ["events", "histories", "items"])
def test_an_empty_table_is_refused(table):
    tables = valid()
    empty = replace(tables, **{table: getattr(tables, table).head(0)})

    assert message(empty) == f"{table}: empty, at least one row is needed"


def test_an_event_id_may_occur_once():
    assert message(changed("events", at(1, "event_id", 0))) == (
        "events.event_id: 0 occurs more than once, ids must be unique"
    )


def test_an_item_id_may_occur_once():
    assert message(changed("items", at(1, "item_id", 5))) == (
        "items.item_id: 5 occurs more than once, ids must be unique"
    )


def test_a_user_has_one_history_in_a_window():
    text = message(changed("histories", at(1, "user_id", 1)))

    assert text == (
        "histories: user 1 has more than one row in window 'train', "
        "one per user and window is allowed"
    )


@pytest.mark.parametrize("table", ["events", "histories"])
def test_an_unknown_window_is_named_with_the_allowed_ones(table):
    text = message(changed(table, at(0, "window", pl.lit("holiday"))))

    assert text == (f"{table}.window: found ['holiday'], allowed: ['train', 'validation', 'test']")


@pytest.mark.parametrize(
    ("table", "column"),
    [("events", "user_id"), ("events", "engaged"), ("histories", "user_id"), ("items", "item_id")],
)
def test_a_null_is_refused_where_none_is_allowed(table, column):
    assert message(changed(table, at(0, column, None))) == (
        f"{table}.{column}: found 1 null, allowed: none"
    )


def test_a_further_label_may_not_hold_nulls():
    tables = changed("events", like=pl.when(pl.col("event_id") > 0).then(pl.lit(value=True)))

    assert message(tables) == "events.like: found 1 null, allowed: none"


def test_session_and_device_may_be_null():
    events = check(valid()).events.collect()

    assert events["session_id"].null_count() == events["device"].null_count() == events.height


def test_windows_must_start_in_time_order():
    backwards = dict(zip(WINDOWS, reversed(STARTS.values()), strict=True))
    text = message(replace(valid(), starts=backwards))

    assert text.startswith("starts: windows must be in time order, found train 2023-06-01")


def test_every_window_has_a_start():
    assert message(replace(valid(), starts={"train": START})) == (
        "starts: found ['train'], must be ['train', 'validation', 'test']"
    )


def test_an_event_before_its_window_is_refused():
    early = changed("events", at(0, "time", START - timedelta(seconds=1)))

    assert message(early) == (
        "events.time: event 0 of window 'train' is at 2023-05-17 23:59:59+00:00, "
        "must not be before the window's start 2023-05-18 00:00:00+00:00"
    )


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("item_id", [5, 6], "the four lists differ in length, must be equal"),
        ("channel_2", [1.0] * 4, "the four lists differ in length, must be equal"),
        ("channel_1", None, "a list is null, must be an empty list"),
        ("item_id", [5, None, 6], "time or item_id has a null, allowed: none"),
        ("channel_1", [1.0, float("nan"), 2.0], "a channel is NaN or infinite"),
        ("channel_2", [1.0, None, float("inf")], "a channel is NaN or infinite"),
        (
            "time",
            [START - timedelta(hours=hours) for hours in (1, 2, 3)],
            "time is not in ascending order",
        ),
        (
            "time",
            [START - timedelta(hours=2), START - timedelta(hours=1), START],
            "time reaches the start of its window, must end before it (2023-05-18 00:00:00+00:00)",
        ),
    ],
)
def test_a_faulty_history_is_named_with_its_user(column, value, fault):
    rows = histories_of().to_dicts()
    rows[1][column] = value
    tables = replace(valid(), histories=pl.DataFrame(rows, schema=HISTORIES).lazy())

    assert message(tables).startswith(f"histories: user 2, window 'train': {fault}")


@pytest.mark.parametrize("window", WINDOWS)
def test_one_class_in_a_window_is_refused(window):
    one_class = pl.when(pl.col("window") == window).then(pl.lit(value=False))
    text = message(changed("events", one_class.otherwise("engaged").alias("engaged")))

    assert text == (
        f"events.engaged: found 8 events, all False in window '{window}', both classes are needed"
    )


def test_a_window_without_events_is_refused():
    tables = valid()
    without = tables.events.filter(pl.col("window") != "validation")

    assert message(replace(tables, events=without)) == (
        "events.engaged: found none in window 'validation', both classes are needed"
    )


def test_some_user_needs_four_events_in_train_and_in_test():
    tables = replace(valid(), events=events_of(per_window=3).lazy())

    assert message(tables) == (
        "events.user_id: no user has 4 events in train and in test, at least 4 in each are needed"
    )


def test_duplicates_and_events_without_a_history_are_dropped_and_counted():
    tables = valid()
    events = pl.concat([events_of(users=(1, 2, 3)), events_of(users=(1, 2, 3)).head(5)])
    empty = histories_of(users=(3,)).head(1)
    empty = empty.with_columns(
        pl.col(name).list.head(0) for name, dtype in HISTORIES.items() if dtype == pl.List
    )
    histories = pl.concat([histories_of(), empty])

    checked = check(replace(tables, events=events.lazy(), histories=histories.lazy()))

    assert checked.dropped == {"duplicate row": 5, "no history": 12}
    assert checked.events.collect()["user_id"].unique().sort().to_list() == [1, 2]
    assert checked.histories.collect().equals(histories_of())


def test_counts_of_the_dataset_and_of_the_check_are_added():
    tables = replace(valid(), dropped={"duplicate row": 2, "null read time": 7})

    assert check(tables).dropped == {"duplicate row": 2, "null read time": 7, "no history": 0}


def test_histories_without_events_are_left_out():
    tables = replace(valid(), histories=histories_of(users=(1, 2, 9)).lazy())

    assert check(tables).histories.collect().equals(histories_of())


def test_linkable_users_have_enough_events_in_both_windows():
    events = events_of(users=(1, 2, 3))
    late = (pl.col("user_id") == 3) & (pl.col("window") == "test")

    assert linkable_users(events) == 3
    assert linkable_users(events.filter(~late)) == 2


def test_description_counts_what_the_tables_hold():
    description = describe(check(valid()))

    assert (description.num_events, description.num_users, description.num_items) == (24, 2, 2)
    assert (description.events_per_user, description.history_length) == (12, 3)
    assert description.linkable_users == 2
    assert description.windows["test"] == {
        "start": "2023-06-01T00:00:00+00:00",
        "events": 8,
        "users": 2,
        "engaged": 0.5,
    }


WIDE = (
    WideFeature("followers", "reader", "count", "engaging_user_follower_count"),
    WideFeature("hashtags", "content", "count", "hashtags"),
)


def widened(*expressions, features=WIDE):
    wide = events_of().select(
        "event_id",
        followers=pl.col("user_id").cast(pl.Float32),
        hashtags=pl.lit(None, pl.Float32),
    )
    return replace(valid(), wide=wide.select("*", *expressions).lazy(), wide_features=features)


def test_wide_features_may_hold_nulls_and_stand_in_any_order_of_events():
    tables = widened()
    assert check_wide(valid()).wide is None
    assert check_wide(tables) is tables
    shuffled = replace(tables, wide=tables.wide.reverse())
    assert check_wide(shuffled) is shuffled


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (replace(valid(), wide_features=WIDE), "wide: missing, 2 features declared"),
        (
            widened(features=WIDE[:1] * 2),
            "wide_features: found 2 names, allowed: one or more, unique",
        ),
        (widened(features=()), "wide_features: found 0 names, allowed: one or more, unique"),
        (
            widened(features=(WIDE[0], replace(WIDE[1], group="item"))),
            "wide_features.hashtags: group is 'item', allowed: content, reader, creator",
        ),
        (widened(features=WIDE[::-1]), "wide: found 3 columns, must be the 3 declared ones"),
        (widened(pl.lit(1).alias("more")), "wide: found 4 columns, must be the 3 declared ones"),
        (
            replace(widened(), wide=widened().wide.with_columns(followers=1)),
            "wide: followers is Int32, must be Float32",
        ),
        (
            replace(
                widened(),
                wide=widened().wide.with_columns(hashtags=pl.lit(float("nan"), pl.Float32)),
            ),
            "wide.hashtags: NaN or infinite in 24 rows, must be finite or null",
        ),
        (
            replace(widened(), wide=widened().wide.slice(1)),
            "wide.event_id: no row for 1 event, first 0; every event needs one",
        ),
        (
            replace(widened(), wide=widened().wide.with_columns(event_id=pl.lit(3, pl.Int64))),
            "wide.event_id: 3 occurs more than once, ids must be unique",
        ),
    ],
)
def test_wide_features_that_break_a_promise_are_named(tables, said):
    with pytest.raises(ValueError, match=r".") as error:
        check_wide(tables)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(("dtype", "fine"), [(pl.Int32, True), (pl.Int64, False)])
def test_tokens_are_lists_of_32_bit_ids(dtype, fine):
    tables = changed("items", tokens=pl.lit([101, 102], pl.List(dtype)))
    if fine:
        check(tables)
    else:
        assert message(tables) == "items.tokens: is List(Int64), must be List(Int32)"
