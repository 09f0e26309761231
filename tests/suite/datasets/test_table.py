from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from suite.datasets.base import WINDOWS
from suite.datasets.check import check
from suite.datasets.describe import describe
from suite.datasets.reading.identifiers import canonical_ids
from suite.datasets.table import Table

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = {
    "train": date(2024, 3, 4),
    "validation": date(2024, 3, 6),
    "test": date(2024, 3, 8),
    "end": date(2024, 3, 10),
}


def visits():
    """Two readers, one visit every 6 h from 1 to 10 March 2024 local time."""
    return pl.DataFrame(
        [
            {
                "reader": reader,
                "page": f"page-{number % 3}",
                "when": datetime(2024, 3, 1) + timedelta(hours=6 * number),
                "dwell": float(10 * (number % 5)),
                "depth": float(number % 100),
                "visit": f"{reader}/{number // 4}",
                "screen": 1 + number % 3,
                "done": int(number % 2 == 0),
            }
            for reader in ("zoe", "amir")
            for number in range(36)
        ]
    )


def table(tmp_path, rows=None, name="visits.csv", **parameters):
    path = tmp_path / name
    rows = visits() if rows is None else rows
    if path.suffix == ".csv":
        rows.write_csv(path)
    else:
        rows.write_parquet(path)
    columns = {"user": "reader", "item": "page", "time": "when", "label": "done"}
    return Table(events=str(path), **DAYS | columns | {"history_days": 3} | parameters)


def ids(*native):
    return canonical_ids(pl.Series(native)).to_list()


def message(part):
    with pytest.raises(ValueError, match=r".") as error:
        check(part.tables())
    assert "\n" not in str(error.value)
    return str(error.value)


def test_columns_of_any_name_and_type_become_the_canonical_tables(tmp_path):
    part = table(
        tmp_path,
        session="visit",
        device="screen",
        channels=("dwell", "depth"),
        time_zone="Europe/Berlin",
    )
    tables = check(part.tables())
    amir, zoe = ids("amir", "zoe")
    events = tables.events.collect()
    history = tables.histories.filter(pl.col("user_id") == amir).collect().row(0, named=True)

    # Visit 12 of each is the first of 4 March.
    assert set(events["user_id"]) == {amir, zoe}
    of_amir = events.filter(pl.col("user_id") == amir)
    assert of_amir.drop("event_id").row(0, named=True) == {
        "user_id": amir,
        "item_id": ids("page-0")[0],
        "time": datetime(2024, 3, 4, tzinfo=BERLIN),
        "window": "train",
        "session_id": ids("amir/3")[0],
        "device": 1,
        "engaged": True,
    }
    assert events["window"].value_counts().sort("window")["count"].to_list() == [16, 16, 16]
    assert history["window"] == "train"
    assert history["item_id"] == ids("page-0", "page-1", "page-2") * 4
    assert history["channel_1"][:6] == [0, 10, 20, 30, 40, 0]
    assert history["channel_2"][:3] == [0, 1, 2]


def test_ids_may_turn_from_numbers_to_text_late_in_a_file(tmp_path):
    rows = pl.concat([visits()] * 4).with_columns(reader=pl.int_range(pl.len()) // 36)
    rows = rows.with_columns(pl.col("reader").cast(pl.String).replace("7", "guest"))

    assert check(table(tmp_path, rows).tables()).events.collect()["user_id"].n_unique() == 8


def test_csv_and_parquet_give_the_same_tables(tmp_path):
    rows = visits().with_columns(pl.col("when").dt.to_string("%d/%m/%Y %H:%M"))
    text = {"time_format": "%d/%m/%Y %H:%M"}
    one = check(table(tmp_path, rows, **text).tables())
    two = check(table(tmp_path, rows, name="visits.parquet", **text).tables())
    three = check(table(tmp_path, name="native.parquet").tables())

    assert one.events.collect().equals(two.events.collect())
    assert one.events.collect().equals(three.events.collect())


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 1_000), ("us", 1_000_000)])
def test_numbers_are_times_since_the_epoch_in_the_named_unit(tmp_path, unit, per_s):
    expected = check(table(tmp_path).tables()).events.collect()
    rows = visits().with_columns(pl.col("when").dt.epoch("s") * per_s)

    assert check(table(tmp_path, rows, time_unit=unit).tables()).events.collect().equals(expected)


def test_times_with_a_zone_keep_their_instant(tmp_path):
    expected = check(table(tmp_path).tables()).events.collect()
    aware = visits().with_columns(
        pl.col("when").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    )
    text = aware.with_columns(pl.col("when").dt.to_string("%Y-%m-%d %H:%M:%S%z"))

    part = table(tmp_path, aware, name="aware.parquet")
    assert check(part.tables()).events.collect().equals(expected)
    part = table(tmp_path, text, time_format="%Y-%m-%d %H:%M:%S%z")
    assert check(part.tables()).events.collect().equals(expected)


def test_engaged_is_more_than_a_threshold(tmp_path):
    events = check(table(tmp_path, label="dwell", above=20, channels=("dwell",)).tables()).events
    rates = describe(check(table(tmp_path, label="dwell", above=20).tables())).windows

    dwell = visits().filter(pl.col("when").dt.day().is_between(4, 9))["dwell"]
    assert events.select("engaged").sum().collect().item() == (dwell > 20).sum()
    assert set(rates) == set(WINDOWS)


def test_missing_channels_are_lists_of_nulls(tmp_path):
    histories = check(table(tmp_path, channels=("dwell",)).tables()).histories.collect()

    assert histories["channel_1"].list.drop_nulls().list.len().sum() == 12 * 6
    assert histories["channel_2"].list.drop_nulls().list.len().sum() == 0
    assert histories["channel_2"].list.len().sum() == 12 * 6


def test_an_item_table_describes_the_items_that_occur(tmp_path):
    pl.DataFrame(
        {
            "page": ["page-2", "page-0", "page-9"],
            "section": ["sport", "news", "news"],
            "headline": ["four", "a headline", ""],
            "out": ["2024-02-01", "2024-02-02", "2024-02-03"],
        }
    ).write_csv(tmp_path / "pages.csv")
    columns = {"item_id": "page", "category": "section", "title": "headline", "published": "out"}
    part = table(tmp_path, items=str(tmp_path / "pages.csv"), item_columns=columns)
    items = check(part.tables()).items.sort("title").collect()

    assert [path.name for path in part.files()] == ["visits.csv", "pages.csv"]
    assert items["item_id"].to_list() == ids("page-0", "page-2")
    assert items["category"].to_list() == ["news", "sport"]
    assert items["title_length"].to_list() == [10, 4]
    assert items["title"].to_list() == ["a headline", "four"]
    assert items["published"][1] == datetime(2024, 2, 1, tzinfo=ZoneInfo("UTC"))


def test_without_a_map_the_canonical_names_of_an_item_table_are_used(tmp_path):
    pages = {"item_id": ["page-0"], "premium": [True], "body_length": [12], "other": [1]}
    pl.DataFrame(pages).write_parquet(tmp_path / "pages.parquet")
    items = check(table(tmp_path, items=str(tmp_path / "pages.parquet")).tables()).items.collect()

    assert items.select("item_id", "premium", "body_length", "category").rows() == [
        (ids("page-0")[0], True, 12, None)
    ]


def test_a_missing_column_is_named_with_those_found(tmp_path):
    text = message(table(tmp_path, user="visitor", label="liked"))

    assert text.endswith(
        "visits.csv: no column liked, visitor, "
        "found reader, page, when, dwell, depth, visit, screen, done"
    )


def test_a_missing_file_and_an_unknown_file_type_are_named(tmp_path):
    assert message(Table(events=str(tmp_path / "a.csv"), **DAYS)).endswith("a.csv: no such file")
    (tmp_path / "log.xlsx").write_bytes(b"PK\x03\x04")
    assert "log.xlsx: looks like a zip archive or an Excel workbook, must be " in message(
        Table(events=str(tmp_path / "log.xlsx"), **DAYS)
    )


def test_a_number_as_time_needs_its_unit(tmp_path):
    rows = visits().with_columns(pl.col("when").dt.epoch("s"))

    for name in ("visits.csv", "visits.parquet"):
        text = message(table(tmp_path, rows, name=name))
        assert f"{name}, row 0 (from 0): when is " in text
        assert text.endswith(
            "a number: time_unit must be s, ms, us or ns, or time_format must give its format"
        )


@pytest.mark.parametrize(
    ("column", "parameters", "allowed"),
    [
        ("when", {}, "ISO 8601 such as"),
        ("dwell", {"channels": ("dwell",)}, "a number"),
        ("screen", {"device": "screen"}, "a number"),
    ],
)
@pytest.mark.parametrize("name", ["visits.csv", "visits.parquet"])
def test_a_stray_value_is_refused_with_its_row(tmp_path, column, parameters, allowed, name):
    given = visits().with_columns(pl.col(column).cast(pl.String))
    row = pl.int_range(pl.len())
    rows = given.with_columns(
        pl.when(row == 7).then(pl.lit("a word")).otherwise(column).alias(column)
    )

    text = message(table(tmp_path, rows, name=name, **parameters))
    assert f"{name}, row 7 (from 0): {column} is 'a word', must be {allowed}" in text


def test_a_label_of_other_values_needs_a_threshold(tmp_path):
    assert message(table(tmp_path, label="dwell")).endswith(
        "visits.csv, row 1 (from 0): dwell is 10.0, allowed: Boolean, or 0 and 1, or any value "
        "with positive: [...], at_least: ... in label"
    )


def test_a_null_label_is_refused(tmp_path):
    rows = visits().with_columns(pl.when(pl.col("when").dt.day() != 5).then("done").alias("done"))

    assert message(table(tmp_path, rows)) == "events.engaged: found 8 nulls, allowed: none"


def test_a_device_out_of_range_is_refused(tmp_path):
    rows = visits().with_columns(screen=pl.lit(4))

    assert message(table(tmp_path, rows, device="screen")).endswith(
        "visits.csv, row 0 (from 0): screen is '4', must be 0, 1, 2 or 3"
    )


def test_an_item_table_of_other_items_is_refused(tmp_path):
    pl.DataFrame({"item_id": [1, 2]}).write_csv(tmp_path / "pages.csv")

    assert message(table(tmp_path, items=str(tmp_path / "pages.csv"))).endswith(
        "pages.csv: item_id contains none of the 3 items in page of "
        f"{tmp_path / 'visits.csv'}, at least one is needed"
    )


def test_numbers_and_their_text_are_the_same_items(tmp_path):
    rows = visits().with_columns(page=pl.col("page").str.slice(5).cast(pl.Int64))
    pages = pl.DataFrame({"item_id": ["0", "2"], "category": ["news", "sport"]})
    pages.write_parquet(tmp_path / "pages.parquet")
    part = table(tmp_path, rows, items=str(tmp_path / "pages.parquet"))

    assert check(part.tables()).items.collect()["item_id"].to_list() == [0, 2]


def test_items_that_occur_twice_are_named_by_their_own_id(tmp_path):
    (tmp_path / "pages.csv").write_text("item_id,category\npage-1,a\npage-0,a\npage-1,b\n")

    assert message(table(tmp_path, items=str(tmp_path / "pages.csv"))).endswith(
        "pages.csv: item_id 'page-1' occurs 2 times, in rows 0, 2 (from 0); ids must be unique"
    )


def test_events_of_items_without_a_row_are_counted(tmp_path):
    (tmp_path / "pages.csv").write_text("item_id,category\npage-1,a\n")
    tables = check(table(tmp_path, items=str(tmp_path / "pages.csv")).tables())

    unknown = visits().filter(pl.col("when").dt.day().is_between(4, 9), pl.col("page") != "page-1")
    assert tables.filled == {"item without a row in the items table": unknown.height}
    assert check(tables).filled == tables.filled
    assert check(table(tmp_path).tables()).filled == {}


def test_a_history_too_short_for_anybody_says_how_many_events_it_costs(tmp_path):
    # Everybody comes on the days of the windows' starts and two days before each.
    rows = visits().filter(pl.col("when").dt.day().is_in([2, 4, 6, 8]))

    assert check(table(tmp_path, rows, history_days=2).tables()).dropped["no history"] == 0
    assert message(table(tmp_path, rows, history_days=1)) == (
        "history_days: found 1, which leaves no history: all events (24) would be dropped, since "
        "their users have no earlier event in that span (train 8, validation 8, test 8)"
    )


def test_a_window_that_a_short_history_empties_is_named_with_its_events(tmp_path):
    rows = visits().filter(pl.col("when").dt.day().is_in([2, 3, 4, 6, 7, 8]))

    assert message(table(tmp_path, rows, history_days=1)) == (
        "events: window 'validation' is empty, all of its events (16) were dropped: their users "
        "have no earlier event in the span of that window's history (history_days)"
    )


def test_users_whom_a_short_history_drops_are_counted_where_nobody_is_linkable(tmp_path):
    of_zoe = pl.col("reader") == "zoe"
    rows = visits().filter((of_zoe & (pl.col("when").dt.day() != 3)) | ~of_zoe)
    few = rows.filter(of_zoe | (pl.col("when").dt.day() != 8) | (pl.col("when").dt.hour() == 0))
    few = few.filter(of_zoe | (pl.col("when").dt.day() != 9))

    assert message(table(tmp_path, few, history_days=1)).endswith(
        "at least 4 in each are needed; dropped 8 events: their users have no earlier event "
        "in the span of that window's history"
    )


def test_an_unknown_canonical_column_is_refused(tmp_path):
    (tmp_path / "pages.csv").write_text("page,color\npage-0,red\n")
    columns = {"item_id": "page", "color": "color"}
    part = table(tmp_path, items=str(tmp_path / "pages.csv"), item_columns=columns)

    assert message(part).startswith("item_columns: found ['color'], allowed: ['item_id', 'cat")


def test_an_item_table_needs_its_id(tmp_path):
    (tmp_path / "pages.csv").write_text("page,category\npage-0,news\n")

    assert message(table(tmp_path, items=str(tmp_path / "pages.csv"))).endswith(
        "pages.csv: no column for item_id; give one in item_columns"
    )


def test_at_most_two_channels_are_allowed():
    with pytest.raises(ValueError, match="channels: found 3 columns, allowed: at most 2"):
        Table(events="log.csv", channels=("a", "b", "c"), **DAYS)
