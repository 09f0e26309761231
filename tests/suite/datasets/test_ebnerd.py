from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from suite.datasets.check import check
from suite.datasets.ebnerd import ARTICLES, BEHAVIORS, HISTORY, LAYOUT, EBNeRD

TRAIN, LATER = datetime(2023, 5, 18, 7), datetime(2023, 5, 25, 7)
COPENHAGEN = ZoneInfo("Europe/Copenhagen")


def behaviors(start, users=(1, 2), first_id=0):
    """Ten impressions of every user, 16 h apart; even ones are engaged."""
    return [
        {
            "impression_id": first_id + 100 * user + number,
            "impression_time": start + timedelta(hours=16 * number),
            "device_type": number % 4,
            "article_ids_inview": [7, 8],
            "article_ids_clicked": [7 + number % 2],
            "user_id": user,
            "session_id": 1000 + number,
            "next_read_time": 31.0 if number % 2 == 0 else 30.0,
            "next_scroll_percentage": 51.0,
        }
        for user in users
        for number in range(10)
    ]


def history(start, users=(1, 2)):
    return [
        {
            "user_id": user,
            "impression_time_fixed": [start - timedelta(hours=hours) for hours in (3, 2, 1)],
            "scroll_percentage_fixed": [10.0, None, 30.0],
            "article_id_fixed": [7, 8, 7],
            "read_time_fixed": [1.0, 2.0, float("nan")],
        }
        for user in users
    ]


def articles():
    return [
        {
            "article_id": 7,
            "title": "four",
            "subtitle": "",
            "body": "a body",
            "premium": True,
            "article_type": "article_default",
            "category_str": "sport",
            "published_time": datetime(2023, 5, 1, 12),
        },
        {"article_id": 8},
    ]


def rows_of():
    return {
        "train/behaviors.parquet": behaviors(TRAIN),
        "train/history.parquet": history(TRAIN),
        "validation/behaviors.parquet": behaviors(LATER, first_id=5000),
        "validation/history.parquet": history(LATER),
        "articles.parquet": articles(),
    }


def write(folder, rows):
    for name, schema in LAYOUT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(rows[name], schema=schema).write_parquet(path)
    return EBNeRD(path=str(folder))


def local(time):
    return time.replace(tzinfo=COPENHAGEN)


def test_the_files_have_17_5_and_21_columns():
    assert [len(schema) for schema in (BEHAVIORS, HISTORY, ARTICLES)] == [17, 5, 21]


def test_events_are_the_clicked_articles_in_local_time(tmp_path):
    events = check(write(tmp_path, rows_of()).tables()).events.collect()

    assert events.row(1, named=True) == {
        "event_id": 101,
        "user_id": 1,
        "item_id": 8,
        "time": local(TRAIN + timedelta(hours=16)),
        "window": "train",
        "session_id": 1001,
        "device": 1,
        "engaged": False,
    }
    assert events["engaged"].to_list() == [number % 2 == 0 for number in events["event_id"]]


def test_the_validation_split_is_cut_at_the_midpoint_of_its_time_span(tmp_path):
    tables = check(write(tmp_path, rows_of()).tables())
    events = tables.events.collect()

    # Impressions at 0, 16, ..., 144 h: the midpoint is 72 h.
    assert events["window"].to_list() == ["train"] * 20 + ["validation"] * 10 + ["test"] * 10
    assert tables.starts == {
        "train": local(TRAIN),
        "validation": local(LATER),
        "test": local(LATER),
    }


def test_validation_and_test_share_one_history_file(tmp_path):
    histories = check(write(tmp_path, rows_of()).tables()).histories.collect()
    of_first = {row["window"]: row for row in histories.to_dicts() if row["user_id"] == 1}

    assert of_first["train"]["time"][-1] == local(TRAIN - timedelta(hours=1))
    assert of_first["validation"]["time"] == of_first["test"]["time"]
    assert of_first["test"]["time"][-1] == local(LATER - timedelta(hours=1))
    assert of_first["test"]["channel_1"] == [1, 2, None]
    assert of_first["test"]["channel_2"] == [10, None, 30]


def test_a_history_comes_out_in_time_order(tmp_path):
    rows = rows_of()
    sorted_tables = check(write(tmp_path / "sorted", rows).tables())
    for row in rows["validation/history.parquet"]:
        for name, values in row.items():
            if name != "user_id":
                row[name] = [values[position] for position in (2, 0, 1)]
    tables = check(write(tmp_path / "mixed", rows).tables())

    assert tables.histories.collect().equals(sorted_tables.histories.collect())


def test_items_have_their_lengths_and_keep_their_texts(tmp_path):
    items = check(write(tmp_path, rows_of()).tables()).items.collect()

    assert items.row(0, named=True) == {
        "item_id": 7,
        "category": "sport",
        "item_type": "article_default",
        "published": local(datetime(2023, 5, 1, 12)),
        "premium": True,
        "body_length": 6,
        "title_length": 4,
        "subtitle_length": 0,
        "title": "four",
        "body": "a body",
    }
    assert items.row(1)[1:] == (None,) * 9


def test_nulls_and_odd_clicks_are_dropped_or_filled_and_counted(tmp_path):
    rows = rows_of()
    train = rows["train/behaviors.parquet"]
    train[0]["next_read_time"] = None
    train[1]["next_read_time"] = float("nan")
    train[2]["next_scroll_percentage"] = None
    train[3]["article_ids_clicked"] = []
    train[4]["article_ids_clicked"] = None
    train[5]["article_ids_clicked"] = [8, 7]
    tables = check(write(tmp_path, rows).tables())
    events = tables.events.collect().head(6)

    assert tables.dropped == {
        "no clicked article": 2,
        "null next_read_time": 2,
        "duplicate row": 0,
        "no history": 0,
    }
    assert tables.filled == {
        "null next_scroll_percentage read as 0": 1,
        "first of several clicked articles": 1,
    }
    assert events["event_id"].to_list() == [102, 105, 106, 107, 108, 109]
    assert events["engaged"][0] is False
    assert events["item_id"][1] == 8


def test_a_folder_that_holds_one_release_is_entered(tmp_path):
    write(tmp_path / "ebnerd_small", rows_of())
    part = EBNeRD(path=str(tmp_path))

    assert [path.relative_to(tmp_path / "ebnerd_small") for path in part.files()] == [
        path.relative_to(tmp_path / "ebnerd_small")
        for path in EBNeRD(path=str(tmp_path / "ebnerd_small")).files()
    ]
    assert not part.synthetic


def test_a_folder_that_holds_several_releases_is_refused(tmp_path):
    for name in ("ebnerd_demo", "ebnerd_small"):
        write(tmp_path / name, rows_of())

    with pytest.raises(ValueError, match="with one: ebnerd_demo, ebnerd_small, exactly one is"):
        check(EBNeRD(path=str(tmp_path)).tables())


def test_a_folder_without_a_release_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no train folder; .* none, exactly one is needed"):
        EBNeRD(path=str(tmp_path)).files()


def test_a_missing_file_is_named(tmp_path):
    part = write(tmp_path, rows_of())
    (tmp_path / "validation/history.parquet").unlink()

    with pytest.raises(ValueError, match=r"missing .*validation/history\.parquet$"):
        part.files()


def test_every_wrong_column_of_a_file_is_listed_in_one_line(tmp_path):
    part = write(tmp_path, rows_of())
    path = tmp_path / "train/behaviors.parquet"
    pl.read_parquet(path).drop("gender").cast({"user_id": pl.Int64}).write_parquet(path)

    with pytest.raises(ValueError, match=r"behaviors\.parquet: ") as error:
        check(part.tables())
    assert (
        str(error.value)
        == f"{path}: user_id is Int64, must be UInt32; gender is missing, must be Int8"
    )


def test_no_row_is_read_before_the_columns_of_every_file_are_right(tmp_path):
    part = write(tmp_path, rows_of())
    content = (tmp_path / "train/behaviors.parquet").read_bytes()
    pages = content[:4] + bytes(len(content) // 4) + content[4 + len(content) // 4 :]
    (tmp_path / "train/behaviors.parquet").write_bytes(pages)
    pl.read_parquet(tmp_path / "articles.parquet").drop("url").write_parquet(
        tmp_path / "articles.parquet"
    )

    with pytest.raises(ValueError, match=r"articles\.parquet: url is missing, must be String"):
        check(part.tables())


def test_a_file_that_is_not_parquet_is_refused_in_one_line(tmp_path):
    part = write(tmp_path, rows_of())
    (tmp_path / "articles.parquet").write_text("article_id,title\n")

    with pytest.raises(
        ValueError, match=r"articles\.parquet: looks like text, must be Parquet .*$"
    ):
        check(part.tables())


def test_the_named_folder_is_read(tmp_path):
    others = rows_of()
    for row in others["articles.parquet"]:
        row["category_str"] = "another"
    write(tmp_path / "data1", others)
    items = check(write(tmp_path / "data[1]", rows_of()).tables()).items.collect()

    assert "another" not in items["category"].to_list()


def test_lists_of_unequal_length_are_refused_with_their_user(tmp_path):
    rows = rows_of()
    rows["train/history.parquet"][1]["read_time_fixed"] = [1.0]

    with pytest.raises(ValueError, match="user 2, window 'train': the four lists differ in length"):
        check(write(tmp_path, rows).tables())


def test_a_history_that_reaches_its_split_is_refused(tmp_path):
    rows = rows_of()
    rows["validation/history.parquet"][0]["impression_time_fixed"][2] = LATER

    with pytest.raises(ValueError, match="user 1, window 'validation': time reaches the start"):
        check(write(tmp_path, rows).tables())


def test_an_empty_split_is_refused(tmp_path):
    rows = rows_of() | {"validation/behaviors.parquet": []}

    with pytest.raises(ValueError, match=r"validation/behaviors\.parquet: no usable rows"):
        check(write(tmp_path, rows).tables())


def test_an_impression_id_in_both_splits_is_refused(tmp_path):
    rows = rows_of() | {"validation/behaviors.parquet": behaviors(LATER)}

    with pytest.raises(ValueError, match=r"events\.event_id: 100 occurs more than once"):
        check(write(tmp_path, rows).tables())


def test_an_unknown_time_zone_is_named(tmp_path):
    write(tmp_path, rows_of())

    with pytest.raises(ValueError, match="time_zone: found 'Mars/Base', must be an IANA name"):
        check(EBNeRD(path=str(tmp_path), time_zone="Mars/Base").tables())
