import json
import re
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from suite.datasets.check import check, check_wide
from suite.datasets.recsys2021 import RecSys2021
from suite.datasets.tweets.declared import FEATURES
from suite.datasets.tweets.layout import LABELS, MARKER, SEPARATOR
from suite.features.encode import features
from suite.parts import Part
from suite.steps import features as prepare
from tests.tweets import DAY_S, END_S, line, random_lines, vocabulary, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    lines = random_lines(np.random.default_rng(1), rows=800, users=12, tweets=200)
    return write(tmp_path_factory.mktemp("data") / "log", lines)


def dataset(folder, **parameters):
    given = {"path": str(folder), "vocabulary": str(folder.parent), "history_days": 2}
    return RecSys2021(**{**given, "cut": "days", **parameters})


def test_events_are_cut_into_the_last_whole_days_and_have_five_labels(folder):
    source = dataset(folder, train_days=2)
    tables = check(source.tables())
    events = tables.events.collect()
    assert events.columns[-5:] == ["engaged", *LABELS]
    assert (events["engaged"] == events.select(pl.any_horizontal(LABELS)).to_series()).all()
    assert tables.starts == {
        "train": datetime(2021, 2, 26, tzinfo=UTC),
        "validation": datetime(2021, 2, 27, tzinfo=UTC),
        "test": datetime(2021, 2, 28, tzinfo=UTC),
    }
    for window, start, end in (
        ("train", "2021-02-26 00", "2021-02-27 20"),
        ("validation", "2021-02-27 20", "2021-02-28 00"),
        ("test", "2021-02-28 00", "2021-03-01 00"),
    ):
        times = events.filter(window=window)["time"]
        assert start <= str(times.min()) < str(times.max()) < end
    assert not source.synthetic
    assert source.time_zone == "UTC"


def test_a_history_is_what_the_reader_had_engaged_with_before_the_window(folder):
    tables = dataset(folder).tables()
    raw = [row.split(SEPARATOR) for row in (folder / "part-00000").read_text().splitlines()]
    expected = {}
    for window, start in tables.starts.items():
        start_s = int(start.timestamp())
        for row in raw:
            times = [int(time) for time in row[20:24] if time]
            if times and min(times) < start_s and int(row[8]) >= start_s - 2 * DAY_S:
                key = (int(row[14][:16], 16), window)
                expected.setdefault(key, []).append((min(times), int(row[2][:16], 16)))
    found = {}
    for user, window, times, items, one, two in tables.histories.collect().iter_rows():
        found[user, window] = [
            (int(time.timestamp()), item) for time, item in zip(times, items, strict=True)
        ]
        assert one == two == [None] * len(times)
        assert [time for time, _ in found[user, window]] == sorted(
            time for time, _ in found[user, window]
        )
    assert {key: sorted(value) for key, value in found.items()} == {
        key: sorted(value) for key, value in expected.items()
    }


def test_an_item_is_a_tweet_with_its_language_kind_and_tokens(folder):
    items = dataset(folder).tables().items.collect()
    (row,) = items.sort("item_id").head(1).to_dicts()
    raw = next(
        row.split(SEPARATOR)
        for row in (folder / "part-00000").read_text().splitlines()
        if int(row.split(SEPARATOR)[2][:16], 16) == row_id(items)
    )
    assert row["tokens"] == [int(token) for token in raw[0].split("\t")]
    assert (row["category"], row["item_type"]) == (raw[7], raw[6])
    assert int(row["published"].timestamp()) == int(raw[8])


def row_id(items):
    return items["item_id"].min()


def test_a_log_becomes_features_with_wide_columns_and_texts(folder):
    given = {"path": str(folder), "vocabulary": str(folder.parent), "cut": "days"}
    part = Part(name="recsys2021", parameters={**given, "train_days": 2, "history_days": 2})
    found = prepare.prepare(dataset=part, holdout_users=0.2)
    assert found.label_names == ("engaged", *LABELS)
    assert found.wide.shape == (found.events.height, len(FEATURES))
    assert found.events["window"].n_unique() == 3


def test_the_declared_features_are_443_in_four_groups():
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names) == 443
    assert all(feature.unit and feature.source for feature in FEATURES)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert RecSys2021.wide_features is FEATURES
    groups = [feature.group for feature in FEATURES]
    assert {group: groups.count(group) for group in groups} == {
        "content": 234,
        "reader": 85,
        "creator": 97,
        "reader_creator": 27,
    }


def test_wide_features_stand_for_the_checked_events(folder):
    source = dataset(folder)
    tables = check(source.tables())
    wide = check_wide(source.widened(tables, holdout_users=0.2)).wide.collect()
    assert set(wide["event_id"]) == set(tables.events.collect()["event_id"])


def test_the_ladder_needs_no_whole_day(folder):
    cut = dataset(folder, cut="ladder", train_days=3).tables()
    assert cut.starts["validation"] == datetime(2021, 2, 28, 20, tzinfo=UTC)
    assert cut.starts["test"] == datetime(2021, 2, 28, 22, 48, tzinfo=UTC)
    windows = cut.events.collect()["window"]
    assert set(windows) == {"train", "validation", "test"}


def test_a_label_that_never_happens_is_one_clear_line(tmp_path, folder):
    rows = [row.split(SEPARATOR) for row in (folder / "part-00000").read_text().splitlines()]
    for row in rows:
        row[22] = ""
    source = dataset(write(tmp_path / "log", [SEPARATOR.join(row) for row in rows]))
    with pytest.raises(ValueError, match=r"^events: label comment is always False among the"):
        features(check(source.tables()), time_zone="UTC", holdout_users=0)


def test_bad_lines_and_rows_are_told_by_data_check(latentprint, tmp_path, folder):
    lines = (folder / "part-00000").read_text().splitlines()
    lines += [line(tweet_id=1, text_tokens="1\tx"), line(tweet_id=2, like_timestamp=5)]
    log = write(tmp_path / "log", lines)
    options = ("--set", "cut=days", "--set", f"vocabulary={vocabulary(tmp_path)}")
    done = latentprint("data", "check", "recsys2021", log, *options)
    assert done.code == 0
    assert "'undecodable text tokens': 1" in done.out
    assert "'engagement before its tweet or after the end of the log': 1" in done.out
    assert "'comment'" in done.out

    write(log, [*lines, "too\x01short"])
    done = latentprint("data", "check", "recsys2021", log, *options)
    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        f"latentprint: {log}/part-00000, line 803: 2 columns, must be 24 separated by \\x01"
    )


def test_a_span_without_rows_is_named_with_what_moved_it_there(tmp_path, folder):
    lines = (folder / "part-00000").read_text().splitlines()
    far = line(tweet_id=1, tweet_timestamp=END_S + 300 * DAY_S)
    with pytest.raises(
        ValueError,
        match=r"no row is in the history, from 2021-12-\d\d \d\d:\d\d to .*: windows end with the "
        r"last tweet, of 2021-12-26 00:00; rows left out: 801 outside windows and histories$",
    ):
        dataset(write(tmp_path / "far", [*lines, far])).tables()
    with pytest.raises(ValueError, match=r"no row is in the history, .* rows left out: none$"):
        dataset(folder, train_days=40).tables()
    other = tmp_path / "one.txt"
    other.write_text("[PAD]\n")
    with pytest.raises(ValueError, match=r"; rows left out: .*\d+ undecodable text tokens"):
        dataset(folder, vocabulary=str(other)).tables()


@pytest.mark.parametrize("column", ["tweet_timestamp", "engaging_user_following_count"])
def test_a_number_below_zero_is_named(tmp_path, folder, column):
    lines = (folder / "part-00000").read_text().splitlines()
    log = write(tmp_path / "log", [*lines, line(**{"tweet_id": 1, column: -1})])
    said = (
        f"part-00000, line {len(lines) + 1}: {column} is '-1', must be a whole number, at least 0"
    )
    with pytest.raises(ValueError, match=said):
        dataset(log).tables()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"train_days": 0}, "train_days: found 0, must be at least 1"),
        ({"history_days": 0}, "history_days: found 0, must be at least 1"),
        ({"label_hours": -1}, "label_hours: found -1, must be at least 0"),
    ],
)
def test_a_number_out_of_its_range_is_refused(tmp_path, wrong, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        dataset(tmp_path, **wrong)


def test_the_vocabulary_is_the_given_one_or_the_simulators_or_the_official_one(tmp_path):
    folder = write(tmp_path / "log", [line(tweet_timestamp=END_S)])
    assert RecSys2021(path=str(folder)).tokenizer == "bert-base-multilingual-cased"
    (folder / MARKER).write_text(json.dumps({"vocabulary": "words"}))
    assert RecSys2021(path=str(folder)).tokenizer == "words"
    assert RecSys2021(path=str(folder), vocabulary="mine").tokenizer == "mine"
    assert RecSys2021(path=str(folder)).synthetic
    assert RecSys2021(path=str(folder)).files() == [folder / "part-00000", folder / MARKER]
