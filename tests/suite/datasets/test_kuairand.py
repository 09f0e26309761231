import csv
import os
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from suite.datasets.check import check
from suite.datasets.describe import describe
from suite.datasets.kuairand import KuaiRand

SAMPLE = Path(os.environ.get("LATENTPRINT_DATA", Path(__file__).parents[4] / "shared/data"))
SAMPLE = SAMPLE / "kuairand"
SHANGHAI = ZoneInfo("Asia/Shanghai")


def rows_of(users=(1, 2)):
    """Five events a day of every user, at 10 to 14 h local time, 8 to 21 April 2022."""
    return [
        {
            "user_id": user,
            "video_id": 100 + hour,
            "time_ms": int(datetime(2022, 4, day, hour, tzinfo=SHANGHAI).timestamp() * 1000),
            "is_like": hour % 2,
            "long_view": (hour + 1) % 2,
            "play_time_ms": 1000 * hour,
            "duration_ms": {10: 0, 11: 5_000}.get(hour, 20_000),
        }
        for user in users
        for day in range(8, 22)
        for hour in range(10, 15)
    ]


def write(folder, rows, name="log_standard.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_csv(folder / name)
    return KuaiRand(path=str(folder))


def test_windows_and_channels_are_those_of_a_hand_made_log(tmp_path):
    tables = check(write(tmp_path, rows_of()).tables())
    events = tables.events.collect()
    history = tables.histories.collect().row(0, named=True)

    assert events["window"].value_counts(sort=True).rows() == [
        ("train", 40),
        ("test", 40),
        ("validation", 20),
    ]
    assert events.select("user_id", "item_id", "time", "engaged", "like").row(0) == (
        1,
        110,
        datetime(2022, 4, 12, 10, tzinfo=SHANGHAI),
        True,
        False,
    )
    assert history["window"] == "train"
    assert history["time"][0] == datetime(2022, 4, 8, 10, tzinfo=SHANGHAI)
    assert len(history["time"]) == 20
    assert history["channel_1"][:5] == [10, 11, 12, 13, 14]
    assert history["channel_2"][:5] == [None, 100, 60, 65, 70]


def test_labels_are_those_that_the_log_has(tmp_path):
    events = check(write(tmp_path, rows_of()).tables()).events.collect()

    assert [name for name, dtype in events.schema.items() if dtype == pl.Boolean] == [
        "engaged",
        "like",
    ]


def test_logs_are_joined_and_found_in_the_data_folder_too(tmp_path):
    whole = check(write(tmp_path / "one", rows_of()).tables())
    write(tmp_path / "two/data", rows_of()[:70], "log_a.csv")
    write(tmp_path / "two/data", rows_of()[70:], "log_b.csv")
    part = KuaiRand(path=str(tmp_path / "two"))

    assert [path.name for path in part.files()] == ["log_a.csv", "log_b.csv"]
    assert check(part.tables()).events.collect().equals(whole.events.collect())


def test_video_features_describe_the_items(tmp_path):
    features = [
        {"video_id": 110, "video_type": "NORMAL", "upload_dt": "2022-04-01", "tag": "12,65"},
        {"video_id": 111, "video_type": "AD", "upload_dt": "2022-03-05", "tag": ""},
        {"video_id": 999, "video_type": "AD", "upload_dt": "2022-03-05", "tag": "3"},
    ]
    write(tmp_path, features, "video_features_basic_pure.csv")
    part = write(tmp_path, rows_of())
    items = check(part.tables()).items.collect()

    assert len(part.files()) == 2
    assert items["item_id"].to_list() == [110, 111, 112, 113, 114]
    assert items["category"].to_list() == ["12", None, None, None, None]
    assert items["item_type"].to_list() == ["NORMAL", "AD", None, None, None]
    assert items["published"][0] == datetime(2022, 4, 1, tzinfo=SHANGHAI)


def test_events_of_videos_without_features_are_counted(tmp_path):
    assert check(write(tmp_path, rows_of()).tables()).filled == {}
    known = [{"video_id": 110, "video_type": "AD", "upload_dt": "2022-04-01", "tag": "1"}]
    write(tmp_path, known, "video_features_basic_pure.csv")
    found = check(write(tmp_path, rows_of()).tables())

    assert found.filled == {"item without a row in the items table": 80}


def test_a_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no log_\*\.csv in it or in data/"):
        check(KuaiRand(path=str(tmp_path)).tables())


def test_a_missing_column_is_named_with_its_file(tmp_path):
    rows = pl.DataFrame(rows_of()).drop("long_view", "duration_ms").to_dicts()

    with pytest.raises(
        ValueError, match=r"log_standard\.csv: no column duration_ms, long_view, found"
    ):
        check(write(tmp_path, rows).tables())


@pytest.mark.parametrize("stray", ["long", "1.5", str(2**63), "7 ", "NA"])
def test_a_stray_value_is_refused_with_its_row(tmp_path, stray):
    rows = pl.DataFrame(rows_of()).cast(pl.String).to_dicts()
    rows[3]["play_time_ms"] = stray

    said = rf"log_standard\.csv, row 3 \(from 0\): play_time_ms is '{stray}', must be an integer$"
    with pytest.raises(ValueError, match=said):
        check(write(tmp_path, rows).tables())


def test_a_binary_file_is_named_by_its_content(tmp_path):
    part = write(tmp_path, rows_of())
    pl.DataFrame(rows_of()).write_parquet(tmp_path / "log_standard.csv")

    with pytest.raises(ValueError, match=r"log_standard\.csv: looks like Parquet, must be text"):
        check(part.tables())


def test_the_named_folder_is_read(tmp_path):
    write(tmp_path / "data1", rows_of(users=(8, 9)))
    events = check(write(tmp_path / "data[1]", rows_of()).tables()).events.collect()

    assert events["user_id"].unique().sort().to_list() == [1, 2]


def test_a_label_other_than_0_and_1_is_refused(tmp_path):
    rows = rows_of()
    rows[0]["is_like"] = 7

    with pytest.raises(ValueError, match=r"is_like: found \[0, 1, 7\], allowed: 0 and 1"):
        check(write(tmp_path, rows).tables())


def test_dates_must_ascend():
    part = KuaiRand(train=date(2022, 4, 20))

    with pytest.raises(
        ValueError, match="windows: dates must be in ascending order, found train 2022-04-20"
    ):
        check(part.tables())


@pytest.mark.skipif(
    not SAMPLE.is_dir(), reason=f"the sample of real users is not in {SAMPLE}: LATENTPRINT_DATA"
)
def test_the_sample_of_real_users_has_the_counts_that_plain_python_finds():
    (path,) = KuaiRand(path=str(SAMPLE)).files()
    with path.open() as file:
        rows = list(csv.DictReader(file))
    read = ("is_like", "is_follow", "is_comment", "is_forward", "long_view")
    read = ("user_id", "video_id", "time_ms", "play_time_ms", "duration_ms", *read)
    events = {tuple(int(row[name]) for name in read) for row in rows}
    spans = {"train": (12, 16), "validation": (16, 18), "test": (18, 22)}
    counts = Counter()
    for window, span in spans.items():
        first, last = (datetime(2022, 4, day, tzinfo=SHANGHAI).timestamp() for day in span)
        look_back = first - 4 * 86_400
        with_history = {row[0] for row in events if look_back <= row[2] / 1000 < first}
        inside = [row[0] for row in events if first <= row[2] / 1000 < last]
        counts[window] = sum(user in with_history for user in inside)
        counts["no history"] += len(inside) - counts[window]

    tables = check(KuaiRand(path=str(SAMPLE)).tables())
    description = describe(tables)

    assert len(rows) == 41_828
    assert {name: description.windows[name]["events"] for name in spans} | {
        "no history": description.dropped["no history"]
    } == counts
    assert description.dropped["duplicate row"] == len(rows) - len(events)
    assert description.linkable_users > 400
