from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.datasets.base import HISTORIES, ITEMS, WINDOWS
from suite.datasets.check import check
from suite.datasets.describe import describe
from suite.datasets.table import Table
from suite.datasets.windows import Shares, cut_by_share, shares
from suite.features.encode import features
from suite.parts import Part
from suite.steps.features import prepare
from suite.steps.half import half

UTC = ZoneInfo("UTC")
START = datetime(2001, 9, 9, tzinfo=UTC)
FORTY = Shares(*(Fraction(n, 10) for n in (4, 3, 1, 2)))
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


def log_of(visits):
    """Events of (user, minutes after the start), each with its own item."""
    return pl.DataFrame(
        [
            {
                "user_id": user,
                "item_id": number,
                "time": START + timedelta(minutes=minutes),
                "channel_1": number,
                "engaged": number % 2 == 0,
            }
            for number, (user, minutes) in enumerate(visits)
        ],
        schema=LOG,
    )


def cut(log, shares=FORTY, history_days=None):
    items = log.select(pl.col("item_id").unique()).with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in ITEMS.items() if name != "item_id"
    )
    return cut_by_share(log, items.lazy(), shares, history_days)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=60),
    st.sampled_from([(4, 3, 1, 2), (1, 1, 1, 1), (5, 2, 2, 1)]),
)
def test_windows_and_histories_are_those_that_a_loop_finds(visits, weights):
    log = log_of(visits)
    chosen = Shares(*(Fraction(n, sum(weights)) for n in weights))
    tables = cut(log, chosen)

    windows, histories = {}, []
    for user in sorted(set(log["user_id"])):
        own = [row for row in log.sort("time", "item_id").to_dicts() if row["user_id"] == user]
        size = [int(Fraction(len(own) * sum(weights[:k]), sum(weights))) for k in (1, 2, 3)]
        starts = dict(zip(WINDOWS, (own[n]["time"] for n in size), strict=True))
        for row in own:
            begun = [window for window, start in starts.items() if start <= row["time"]]
            if begun:
                windows[row["item_id"]] = begun[-1]
        for window, start in starts.items():
            seen = [row for row in own if row["time"] < start]
            if seen := seen[max(0, len(seen) - size[0]) :] if size[0] else []:
                lists = {name: [row[name] for row in seen] for name in [*HISTORIES][2:]}
                key = {"user_id": user, "window": window}
                histories.append({**key, **lists, "start": start})
    found = tables.events.collect()
    assert dict(found.select("item_id", "window").iter_rows()) == windows
    expected = pl.DataFrame(histories, schema={**HISTORIES, "start": pl.Datetime("us", "UTC")})
    key = ["user_id", "window"]
    assert tables.histories.sort(key).collect().equals(expected.sort(key))


def ratings(users=12, each=40):
    """Each user rates everything within an hour, users a week apart, two ratings a minute."""
    visits = [(user, user * 10_080 + n // 2) for user in range(users) for n in range(each)]
    engaged = np.random.default_rng(1).random(len(visits)) < 0.5
    return log_of(visits).with_columns(engaged=pl.Series(engaged))


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(12)))
def test_starts_are_the_first_of_the_users(order):
    tables = cut(ratings()[[40 * user + n for user in order for n in range(40)]])

    assert tables.starts == {
        window: START + timedelta(minutes=minutes)
        for window, minutes in {"train": 8, "validation": 14, "test": 16}.items()
    }


def test_every_user_has_all_windows_where_dates_leave_hardly_any():
    tables = check(cut(ratings()))
    events = tables.events.collect()

    assert describe(tables).linkable_users == 12
    counts = events.group_by("user_id", "window").len()["len"].to_list()
    assert sorted(set(counts)) == [4, 8, 12]
    assert tables.dropped == {"duplicate row": 0, "no history": 0}


def test_the_histories_of_train_and_test_share_no_event():
    histories = cut(ratings()).histories.collect()
    events = {
        window: set(histories.filter(pl.col("window") == window)["item_id"].explode())
        for window in WINDOWS
    }

    assert {window: len(seen) for window, seen in events.items()} == dict.fromkeys(WINDOWS, 192)
    assert not events["train"] & events["test"]


def test_hours_since_the_last_event_count_to_the_users_own_window():
    made = features(check(cut(ratings())), time_zone="UTC", holdout_users=0.2)
    column = 18
    mean, std = (made.statistics[f"aggregates_{name}"][column] for name in ("mean", "std"))

    # The event before a window is one minute older than the window's first, for every user.
    assert np.log1p(1 / 60) == pytest.approx(mean)
    assert std == 1
    assert made.aggregates[:, column] == pytest.approx(np.zeros(36), abs=1e-6)


def test_days_can_shorten_a_history():
    hourly = log_of([(1, 60 * 12 * n) for n in range(20)])
    lengths = {
        days: cut(hourly, history_days=days).histories.collect()["time"].list.len().to_list()
        for days in (None, 2, 30)
    }

    assert lengths == {None: [8, 8, 8], 2: [4, 4, 4], 30: [8, 8, 8]}


def test_checked_tables_keep_the_users_own_starts():
    once = check(cut(ratings()))
    twice = check(once)

    assert once.histories.collect().equals(twice.histories.collect())
    late = once.histories.with_columns(start=pl.col("start") + timedelta(hours=2))
    with pytest.raises(ValueError, match=r"events.time: event \d+ of window 'train' is at 2001"):
        check(replace(once, histories=late))
    early = once.histories.with_columns(start=pl.col("start") - timedelta(hours=2))
    with pytest.raises(ValueError, match=r"window 'train': time reaches the start .* \(2001-09-"):
        check(replace(once, histories=early))
    none = once.histories.with_columns(start=pl.lit(None, pl.Datetime("us", "UTC")))
    with pytest.raises(ValueError, match=r"histories\.start: found 36 nulls, allowed: none"):
        check(replace(once, histories=none))
    with pytest.raises(ValueError, match="histories: start is String, must be Datetime"):
        check(replace(once, histories=once.histories.cast({"start": pl.String})))


def test_a_description_gives_the_first_and_the_last_start():
    found = describe(check(cut(ratings())))

    assert found.windows["train"]["start"] == "2001-09-09T00:08:00+00:00"
    assert found.windows["train"]["last_start"] == "2001-11-25T00:08:00+00:00"


@pytest.mark.parametrize(
    "given",
    [
        {"share": [0.4, 0.3, 0.1, 0.2]},
        {"share": (0.4, 0.3, 0.1, 0.2)},
        "share, 0.4/0.3/0.1/0.2",
        "share,0.4 / 0.3 / 0.1 / 0.2",
    ],
)
def test_shares_are_exact_in_every_spelling(given):
    assert shares(given) == FORTY


def test_shares_may_be_rounded():
    assert shares({"share": [0.333333, 0.333333, 0.166667, 0.166667]}).train == Fraction(1, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"share": [0.4, 0.3, 0.3]}, "windows: found the shares 0.4, 0.3, 0.3, must be four"),
        ({"share": [0.4, 0.3, 0.1, 0.1]}, "windows: found the shares 0.4, 0.3, 0.1, 0.1, must"),
        ({"share": [0.5, 0.3, 0, 0.2]}, "windows: found the shares 0.5, 0.3, 0, 0.2, must be"),
        ({"share": [40, 30, 10, 20]}, "windows: found the shares 40, 30, 10, 20, must be four"),
        ({"share": "all"}, "windows: found {'share': 'all'}, allowed: {share: [history, train"),
        ({"share": 3}, "windows: found {'share': 3}, allowed: {share: [history, train"),
        ({}, "windows: found {}, allowed: {share: [history, train"),
        ({"shares": [1]}, "windows: unknown key 'shares'; did you mean 'share'?"),
        ("dates", "windows: unknown key 'dates'; known: share"),
        ("share", "windows: found {'share': ['']}, allowed: {share: [history, train"),
    ],
)
def test_other_windows_are_refused(given, said):
    with pytest.raises(ValueError, match=r".") as error:
        shares(given)
    assert str(error.value).startswith(said)


def table(tmp_path, **parameters):
    rows = ratings().select("user_id", "item_id", "time", "engaged", seconds="channel_1")
    rows.write_parquet(tmp_path / "ratings.parquet")
    return Table(events=str(tmp_path / "ratings.parquet"), **parameters)


def test_a_table_is_cut_by_shares(tmp_path):
    part = table(tmp_path, windows="share, 0.4/0.3/0.1/0.2")

    assert describe(check(part.tables())).linkable_users == 12


def test_a_history_cut_by_shares_is_halved(tmp_path):
    rng = np.random.default_rng(2)
    visits = [(user, user * 50_000 + 360 * n) for user in range(12) for n in range(80)]
    log = log_of(visits).with_columns(engaged=pl.Series(rng.random(len(visits)) < 0.5))
    log.select("user_id", "item_id", "time", "engaged").write_parquet(tmp_path / "log.parquet")
    given = {"events": str(tmp_path / "log.parquet"), "windows": {"share": [0.5, 0.2, 0.1, 0.2]}}
    dataset = Part(name="table", parameters=given)
    made = prepare(dataset=dataset, holdout_users=0.2)

    # With the first start of all in place of the user's own the hours would be negative.
    for side in ("gallery", "probe"):
        found = half(made, dataset=dataset, side=side)
        assert found.events["user_id"].n_unique() > 6
        assert np.isfinite(found.aggregates).all()


def test_a_table_needs_dates_or_shares_and_not_both(tmp_path):
    with pytest.raises(ValueError, match=r"^train, validation, test, end: missing, required:"):
        table(tmp_path)
    with pytest.raises(ValueError, match=r"^validation, test, end: missing, required: train"):
        table(tmp_path, train=date(2001, 9, 10))
    with pytest.raises(ValueError, match=r"^windows: found with train, allowed: either the four"):
        table(tmp_path, windows="share, 0.4/0.3/0.1/0.2", train=date(2001, 9, 10))


def test_a_log_without_events_is_refused():
    with pytest.raises(ValueError, match="events: empty, at least one row is needed"):
        cut(log_of([]))
