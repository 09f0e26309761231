from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.datasets.base import HISTORIES, ITEMS, WINDOWS
from suite.datasets.check import check
from suite.datasets.log import cut, earlier_events, in_windows, window_starts

UTC = ZoneInfo("UTC")
START = datetime(2022, 4, 12, tzinfo=UTC)
STARTS = {window: START + timedelta(days=2 * n) for n, window in enumerate(WINDOWS)}
LOG = {
    "user_id": pl.Int64,
    "item_id": pl.Int64,
    "time": pl.Datetime("us", "UTC"),
    "session_id": pl.Int64,
    "device": pl.Int8,
    "channel_1": pl.Float32,
    "channel_2": pl.Float32,
    "engaged": pl.Boolean,
}

rows = st.tuples(
    st.integers(0, 4),
    st.integers(0, 9),
    st.integers(-96, 150),
    st.one_of(st.none(), st.integers(0, 100)),
    st.one_of(st.none(), st.integers(0, 100)),
)


def log_of(visits):
    return pl.DataFrame(
        [
            {
                "user_id": user,
                "item_id": item,
                "time": START + timedelta(hours=hours),
                "channel_1": first,
                "channel_2": second,
                "engaged": number % 2 == 0,
            }
            for number, (user, item, hours, first, second) in enumerate(visits)
        ],
        schema=LOG,
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(rows, max_size=60), st.integers(1, 5))
def test_histories_are_the_earlier_events_that_a_loop_finds(visits, days):
    log = log_of(visits).with_row_index("event_id")
    found = earlier_events(log.lazy(), STARTS, days).collect()

    expected = []
    for window, start in STARTS.items():
        for user in sorted({visit[0] for visit in visits}):
            seen = [
                row
                for row in log.sort("time", maintain_order=True).to_dicts()
                if row["user_id"] == user and start - timedelta(days=days) <= row["time"] < start
            ]
            if seen:
                lists = {
                    name: [row[name] for row in seen]
                    for name in ("time", "item_id", "channel_1", "channel_2")
                }
                expected.append({"user_id": user, "window": window, **lists})
    assert found.equals(pl.DataFrame(expected, schema=HISTORIES))


@settings(max_examples=30, deadline=None)
@given(st.lists(rows, min_size=1, max_size=40))
def test_an_event_lies_in_the_latest_window_that_has_begun(visits):
    log = log_of(visits).with_row_index("event_id")
    found = in_windows(log.lazy(), STARTS).collect()

    expected = {
        row["event_id"]: [window for window, start in STARTS.items() if start <= row["time"]][-1]
        for row in log.to_dicts()
        if row["time"] >= START
    }
    assert dict(found.select("event_id", "window").iter_rows()) == expected


def busy_log():
    """Two users with an event every hour, from 2 days before train to the end of test."""
    return log_of([(user, 7, hours, 1, 2) for hours in range(-48, 144) for user in (1, 2)])


def cut_busy(log, history_days=2):
    items = pl.DataFrame({"item_id": [7]}).with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in ITEMS.items() if name != "item_id"
    )
    engaged = pl.col("time").dt.hour() % 2 == 0
    bounds = STARTS | {"end": START + timedelta(days=6)}
    return check(cut(log.with_columns(engaged=engaged), items.lazy(), bounds, history_days))


def test_event_ids_are_row_numbers_that_do_not_depend_on_the_order_of_the_file():
    tables = cut_busy(busy_log())
    events = tables.events.collect()
    shuffled = cut_busy(busy_log().sample(fraction=1, shuffle=True, seed=1)).events.collect()

    assert events.equals(shuffled)
    assert events.sort("time", "user_id")["event_id"].to_list() == list(range(96, 384))


def test_exact_duplicates_enter_neither_events_nor_histories():
    log = busy_log()
    tables = cut_busy(pl.concat([log, log.head(30)]))

    assert tables.dropped["duplicate row"] == 30
    assert tables.events.collect().equals(cut_busy(log).events.collect())
    assert tables.histories.collect().equals(cut_busy(log).histories.collect())


def test_rows_beyond_the_last_window_and_before_the_first_history_are_counted():
    outside = log_of([(1, 7, -49, 1, 2), (1, 7, 144, 1, 2), (2, 7, 500, 1, 2)])
    tables = cut_busy(pl.concat([busy_log(), outside]))

    assert tables.dropped["outside windows and histories"] == 3


def test_a_look_back_of_no_day_is_refused():
    with pytest.raises(ValueError, match="history_days: found 0, must be at least 1"):
        cut_busy(busy_log(), history_days=0)


def test_windows_start_at_local_midnight():
    days = {"train": date(2022, 4, 12), "validation": date(2022, 4, 16)}

    assert window_starts(days, "Asia/Shanghai") == {
        "train": datetime(2022, 4, 11, 16, tzinfo=UTC),
        "validation": datetime(2022, 4, 15, 16, tzinfo=UTC),
    }


def test_dates_of_windows_must_ascend():
    days = {"train": date(2022, 4, 16), "validation": date(2022, 4, 16)}

    with pytest.raises(
        ValueError,
        match="windows: dates must be in ascending order, found train 2022-04-16, validation ",
    ):
        window_starts(days, "UTC")


def test_a_window_needs_a_date():
    with pytest.raises(ValueError, match="test: found 'soon', must be a date such as 2022-04-12"):
        window_starts({"test": "soon"}, "UTC")


def test_an_unknown_time_zone_is_named():
    with pytest.raises(ValueError, match="time_zone: found 'Mars/Base', must be an IANA name"):
        window_starts({"train": date(2022, 4, 12)}, "Mars/Base")
