from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.datasets.tweets.partition import slice_of, slices, starts

HOUR_S, DAY_S = 3600, 86_400
LAST = datetime(2021, 2, 28, 23, 59, 59, tzinfo=UTC)


def when(piece):
    return piece.window, *(f"{datetime.fromtimestamp(s, UTC):%d %H:%M}" for s in piece_span(piece))


def piece_span(piece):
    return piece.start_s, piece.end_s


def test_the_ladder_holds_back_four_hours_and_trains_on_24_hour_windows_before():
    found = slices("ladder", int(LAST.timestamp()), 2)
    assert [when(piece) for piece in found] == [
        ("train", "26 20:00", "27 20:00"),
        ("train", "27 20:00", "28 20:00"),
        ("validation", "28 20:00", "28 22:48"),
        ("test", "28 22:48", "01 00:00"),
    ]


def test_days_are_whole_and_the_last_two_of_them():
    found = slices("days", int(LAST.timestamp()), 2)
    assert [when(piece) for piece in found] == [
        ("train", "26 00:00", "27 00:00"),
        ("train", "27 00:00", "27 20:00"),
        ("validation", "27 20:00", "28 00:00"),
        ("test", "28 00:00", "01 00:00"),
    ]


@pytest.mark.parametrize(("hour", "last_day"), [(22, 27), (23, 28)])
def test_a_day_is_whole_when_the_log_reaches_its_last_hour(hour, last_day):
    last = datetime(2021, 2, 28, hour, 30, tzinfo=UTC)
    test = slices("days", int(last.timestamp()), 1)[-1]
    assert datetime.fromtimestamp(test.start_s, UTC).day == last_day


@given(
    st.sampled_from(["ladder", "days"]),
    st.integers(10 * DAY_S, 2_000_000_000),
    st.integers(1, 9),
)
def test_slices_touch_in_order_and_none_is_longer_than_a_day(cut, last_s, train_days):
    found = slices(cut, last_s, train_days)
    assert [piece.window for piece in found] == ["train"] * train_days + ["validation", "test"]
    for one, following in pairwise(found):
        assert one.start_s < one.end_s == following.start_s
    assert all(
        piece.known_s <= piece.start_s < piece.end_s <= piece.known_s + DAY_S for piece in found
    )
    assert found[-1].end_s <= last_s + HOUR_S
    times = np.array([found[0].start_s - 1, *(p.start_s for p in found), found[-1].end_s])
    np.testing.assert_array_equal(slice_of(times, found), [-1, *range(train_days + 2), -1])
    first = {window: int(start.timestamp()) for window, start in starts(found).items()}
    assert first == {
        "train": found[0].start_s,
        "validation": found[-2].start_s if cut == "ladder" else found[-3].start_s,
        "test": found[-1].start_s,
    }


def test_train_needs_a_day():
    with pytest.raises(ValueError, match=r"^train_days: found 0, must be at least 1$"):
        slices("ladder", 10**9, 0)
