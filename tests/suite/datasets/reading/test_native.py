"""A log in the files that people have gives the same tables as the yardstick."""

import gzip
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from suite.datasets.check import check
from suite.datasets.describe import describe
from suite.datasets.table import Table

DAYS = {
    "train": date(2026, 1, 8),
    "validation": date(2026, 1, 12),
    "test": date(2026, 1, 15),
    "end": date(2026, 1, 18),
}
START_S = int(datetime(2026, 1, 1, 7, tzinfo=UTC).timestamp())


def log(users=("7", "07", "1e3")):
    """Four events a day of each user, from 1 to 17 January 2026."""
    return pl.DataFrame(
        [
            {"user_id": user, "item_id": f"{n % 5}", "time": START_S + 21_600 * n, "engaged": n % 2}
            for user in users
            for n in range(68)
        ]
    )


def read(path, **given):
    return check(Table(events=str(path), **DAYS | {"time_unit": "s"} | given).tables())


def same(found, expected):
    assert_frame_equal(found.events.collect(), expected.events.collect())
    assert_frame_equal(found.histories.collect(), expected.histories.collect())
    assert_frame_equal(found.items.collect(), expected.items.collect())


@pytest.fixture
def expected(tmp_path):
    log().write_parquet(tmp_path / "yardstick.parquet")
    return read(tmp_path / "yardstick.parquet")


def message(path, **given):
    with pytest.raises(ValueError, match=r".") as error:
        read(path, **given)
    assert str(error.value).isprintable()
    return str(error.value)


def test_three_spellings_of_seven_are_three_users(expected):
    assert describe(expected).linkable_users == 3


@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.inter", "log.txt", "log.csv.gz"])
def test_text_with_any_separator_is_read(tmp_path, expected, name):
    text = log().write_csv(separator="," if "csv" in name else "\t")
    if name.endswith("inter"):
        text = text.replace("user_id\titem_id", "user_id:token\titem_id:token", 1)
        text = text.replace("time\tengaged", "time:float\tengaged:float", 1)
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if "gz" in name else text.encode())

    same(read(tmp_path / name), expected)


@pytest.mark.parametrize("separator", ["\t", "::"])
def test_text_without_a_header_is_read(tmp_path, expected, separator):
    text = log().write_csv(include_header=False).replace(",", separator)
    (tmp_path / "u.data").write_text(text)

    given = {"columns": ("user_id", "item_id", "time", "engaged"), "separator": separator}
    same(read(tmp_path / "u.data", **given), expected)


def test_json_lines_are_read(tmp_path, expected):
    log().write_ndjson(tmp_path / "log.jsonl")

    same(read(tmp_path / "log.jsonl"), expected)


def test_files_of_a_folder_are_one_log(tmp_path, expected):
    folder = tmp_path / "log[1]"
    folder.mkdir()
    for number, rows in enumerate(log().iter_slices(50)):
        rows.write_csv(folder / f"part-{number}.csv")
    (folder / "_SUCCESS").touch()
    part = Table(events=str(folder), parts="*", time_unit="s", **DAYS)

    same(check(part.tables()), expected)
    assert [path.name for path in part.files()] == [f"part-{n}.csv" for n in range(5)]
    wrong = folder / "part-3.csv"
    wrong.write_text(wrong.read_text().replace("engaged\n1e3,", "engaged\n1e3,5,now,1\n1e3,"))
    assert message(folder, parts="part*").startswith(
        f"{wrong}, row 0 (from 0): time is 'now', must"
    )


def test_pandas_gives_the_same_log_with_and_without_a_missing_user(tmp_path):
    """A missing user turns the others into floats, in Parquet and in CSV."""
    whole = log(("7", "8", "9")).to_pandas().astype({"user_id": np.int64})
    whole.to_parquet(tmp_path / "whole.parquet")
    floats = pd.concat([whole, whole.head(40).assign(user_id=np.nan)])
    floats.to_parquet(tmp_path / "floats.parquet")
    floats.to_csv(tmp_path / "floats.csv", index=False)

    for name in ("floats.parquet", "floats.csv"):
        found = read(tmp_path / name)
        same(found, read(tmp_path / "whole.parquet"))
        assert found.dropped["missing user_id"] == 40


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_blanks_and_missing_ids_are_counted(tmp_path, name):
    blank = pl.col("user_id") + pl.when(pl.int_range(pl.len()) % 2 == 0).then(
        pl.lit(" ")
    ).otherwise(pl.lit(""))
    rows = pl.concat([log(("1", "2")).with_columns(blank), log((" ", "nan"))])
    rows.write_csv(tmp_path / name) if name.endswith("csv") else rows.write_parquet(tmp_path / name)
    found = read(tmp_path / name)

    assert describe(found).num_users == 2
    assert found.filled == {"blanks around user_id removed": 68}
    assert found.dropped["missing user_id"] == 136


def test_blanks_around_the_ids_of_items_are_counted_too(tmp_path):
    log().write_csv(tmp_path / "a.csv")
    (tmp_path / "items.csv").write_text("item_id,category\n0 ,a\n 1,b\n2,c\n3,d\n4,e\n")
    found = read(tmp_path / "a.csv", items=str(tmp_path / "items.csv"))

    assert found.items.collect()["category"].to_list() == ["a", "b", "c", "d", "e"]
    assert found.filled == {"items: blanks around item_id removed": 2}


def test_missing_sessions_are_no_session(tmp_path):
    session = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(float("nan"))).otherwise(3.0)
    log().with_columns(session=session).write_parquet(tmp_path / "a.parquet")
    sessions = read(tmp_path / "a.parquet", session="session").events.collect()["session_id"]

    assert sessions.null_count() == len(sessions) / 2
    assert sessions.drop_nulls().unique().to_list() == [3]


def test_an_event_without_an_item_is_refused_where_it_is(tmp_path):
    item = pl.when(pl.int_range(pl.len()).is_in([5, 9])).then(None).otherwise("item_id")
    log().with_columns(item_id=item).write_parquet(tmp_path / "a.parquet")

    assert message(tmp_path / "a.parquet").endswith(
        "a.parquet, row 5 (from 0): item_id is missing, every event needs its item; "
        "missing in 2 of 204 rows"
    )


def test_missing_times_are_counted_as_such(tmp_path, expected):
    rows = pl.concat([log(), log().with_columns(time=pl.lit(None, pl.Int64))])
    rows.write_parquet(tmp_path / "a.parquet")
    rows.write_csv(tmp_path / "a.csv")

    for name in ("a.parquet", "a.csv"):
        found = read(tmp_path / name)
        same(found, expected)
        assert found.dropped == {"missing time": 204} | expected.dropped


def test_nothing_usable_and_nothing_at_all_are_said(tmp_path):
    log().with_columns(time=None).write_csv(tmp_path / "a.csv")
    log().clear().write_csv(tmp_path / "b.csv")

    assert message(tmp_path / "a.csv").endswith("a.csv: no usable row: 204 missing time")
    assert message(tmp_path / "b.csv").endswith("b.csv: no rows, at least one is needed")


def test_local_times_that_clocks_skip_or_repeat_are_counted(tmp_path):
    """Two hours a day from 1 to 27 March 2026, and every minute of the two hours on the 29th."""
    hours = [datetime(2026, 3, 1) + timedelta(hours=12 * n) for n in range(54)]
    skipped = [datetime(2026, 3, 29, 2, minute) for minute in range(60)]
    repeated = [datetime(2026, 10, 25, 2, minute) for minute in range(30)]
    rows = pl.DataFrame({"time": hours + skipped + repeated}).with_columns(
        user_id=pl.lit("u"), item_id=pl.int_range(pl.len()) % 4, engaged=pl.int_range(pl.len()) % 2
    )
    rows.write_parquet(tmp_path / "a.parquet")
    rows.write_csv(tmp_path / "a.csv")
    days = {name: date(2026, 3, day) for name, day in zip(DAYS, (8, 15, 20, 25), strict=True)}

    for name in ("a.parquet", "a.csv"):
        found = read(tmp_path / name, time_zone="Europe/Berlin", **days)
        assert found.dropped["time that a clock change skips"] == 60
        assert "missing time" not in found.dropped
        assert found.filled == {"time that a clock change repeats read as the first": 30}
        assert found.events.collect()["time"][0] == datetime(
            2026, 3, 8, tzinfo=ZoneInfo("Europe/Berlin")
        )


@pytest.mark.parametrize(
    ("unit", "found"),
    [
        ("ms", "found with time_unit ms are 1970-01-21 10:"),
        ("us", "found with time_unit us are 1970-01-01 00:29"),
    ],
)
def test_a_wrong_unit_is_told_with_the_range_and_the_windows(tmp_path, unit, found):
    log().write_csv(tmp_path / "a.csv")
    text = message(tmp_path / "a.csv", time_unit=unit)

    assert "windows and their histories, 2026-01-01 00:00 to 2026-01-18 00:00; " in text
    assert found in text


@pytest.mark.parametrize("dtype", [pl.Int32, pl.Int64, pl.String])
def test_items_are_published_when_the_file_says(tmp_path, dtype):
    log().write_csv(tmp_path / "a.csv")
    items = pl.DataFrame({"item_id": [0, 1, 2, 3, 4], "published": 1767000000}).cast(
        {"published": dtype}
    )
    items.write_parquet(tmp_path / "items.parquet")
    found = read(tmp_path / "a.csv", items=str(tmp_path / "items.parquet")).items.collect()

    assert found["item_id"].to_list() == [0, 1, 2, 3, 4]
    assert set(found["published"]) == {datetime(2025, 12, 29, 9, 20, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("published", "soon", "row 1 (from 0): published is 'soon', must be ISO 8601"),
        ("premium", "yes", "row 1 (from 0): premium is 'yes', must be true or false, or 1 or 0"),
        ("body_length", "long", "row 1 (from 0): body_length is 'long', must be a number"),
    ],
)
def test_a_stray_value_of_an_item_is_refused(tmp_path, column, value, said):
    log().write_csv(tmp_path / "a.csv")
    (tmp_path / "items.csv").write_text(f"item_id,{column}\n0,\n1,{value}\n")

    assert said in message(tmp_path / "a.csv", items=str(tmp_path / "items.csv"))


def test_types_that_cannot_be_what_they_are_named_are_refused(tmp_path):
    lists = log().with_columns(x=pl.concat_list("time", "time"))
    lists.write_parquet(tmp_path / "a.parquet")

    path = tmp_path / "a.parquet"
    for role in ("user", "item", "session"):
        assert message(path, **{role: "x"}).endswith("x is List(Int64), must be text or integers")
    assert message(path, time="x").endswith("x is List(Int64), must be a time")
    assert message(path, label="x").endswith("x is List(Int64), must be text or numbers")
    assert message(path, channels=("x",)).endswith("x is List(Int64), must be a number")


def test_the_named_file_is_read_and_a_folder_is_told(tmp_path, expected):
    log(("a", "b")).write_parquet(tmp_path / "log1.parquet")
    log().write_parquet(tmp_path / "log[1].parquet")

    same(read(tmp_path / "log[1].parquet"), expected)
    assert message(tmp_path).endswith("is a folder; select files with parts, such as '*.parquet'")
