import bz2
import gzip

import numpy as np
import polars as pl
import pytest

from suite.datasets import tweets
from suite.datasets.tweets.layout import COLUMNS, MARKER, SEPARATOR
from suite.datasets.tweets.read import last_time, num_lines, parts, read
from tests.tweets import DAY_S, END_S, WORDS, identifier, line, random_lines, write

DROPS = {
    "duplicate row": 0,
    "engagement before its tweet or after the end of the log": 0,
    "undecodable text tokens": 0,
    "outside windows and histories": 0,
}


def read_all(folder, begin_s=0, end_s=END_S, label_end_s=END_S + DAY_S):
    return read(
        parts(folder),
        begin_s=begin_s,
        end_s=end_s,
        label_end_s=label_end_s,
        vocabulary_size=len(WORDS),
    )


def test_a_row_becomes_numbers_and_its_tweet_lists(tmp_path):
    row = line(
        tweet_id=7,
        engaging_user_id=2**63 + 5,
        hashtags="B\tA",
        present_media="Photo\tPhoto\tGIF",
        like_timestamp=END_S + 5,
        reply_timestamp=END_S + 3,
        engagee_follows_engager="true",
    )
    log = read_all(write(tmp_path / "log", [row]))

    (found,) = log.rows.to_dicts()
    assert found["event_id"] == 0
    assert (found["tweet_id"], found["creator_id"]) == (7, 1)
    assert found["reader_id"] == 5 - 2**63
    assert (found["time"], found["like_at"], found["reply_at"]) == (END_S - 1, END_S + 5, END_S + 3)
    assert found["engaged_at"] == END_S + 3
    assert found["retweet_at"] is found["comment_at"] is None
    assert (found["follows"], found["reader_verified"]) == (True, False)
    assert (found["creator_followers"], found["reader_following"]) == (100, 50)
    (tweet,) = log.tweets.to_dicts()
    assert tweet["tokens"] == [1, 8, 10, 2]
    assert tweet["hashtags"] == ["B", "A"]
    assert tweet["media"] == ["Photo", "Photo", "GIF"]
    assert tweet["links"] == tweet["domains"] == []
    assert log.dropped == DROPS


def test_parts_are_one_log_whatever_they_are_packed_in(tmp_path):
    lines = random_lines(np.random.default_rng(0), rows=60)
    whole = write(tmp_path / "whole", lines)
    text = ["\n".join(lines[n : n + 15]).encode() + b"\n" for n in range(0, 60, 15)]
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "part-0").write_bytes(text[0])
    (packed / "part-1.gz").write_bytes(gzip.compress(text[1]))
    (packed / "part-2.bz2").write_bytes(bz2.compress(text[2]))
    pl.read_csv(
        text[3], has_header=False, separator="\x02", new_columns=["line"], quote_char=None
    ).write_csv(
        packed / "part-3.zst", include_header=False, quote_style="never", compression="zstd"
    )
    for name in (MARKER, "_SUCCESS", ".part-0.crc"):
        (packed / name).write_text("{}")

    one, other = read_all(whole), read_all(packed)
    assert one.rows.equals(other.rows)
    assert one.tweets.equals(other.tweets)
    assert last_time(parts(packed)) == last_time(parts(whole)) == END_S - 1
    assert len(parts(packed)) == 4


def test_the_named_file_is_read(tmp_path):
    lines = random_lines(np.random.default_rng(0), rows=60)
    write(tmp_path / "log1", lines[:5])
    whole = read_all(write(tmp_path / "whole", lines))

    assert read_all(write(tmp_path / "log[1]", lines)).rows.equals(whole.rows)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_number_of_columns_says_which_file_and_line(tmp_path, change):
    lines = [line(tweet_id=n) for n in range(5)]
    lines[3] = SEPARATOR.join([*lines[3].split(SEPARATOR), "more"][: 24 + change])
    folder = write(tmp_path / "log", lines)
    with pytest.raises(ValueError, match=r".") as error:
        num_lines(folder / "part-00000")
    assert str(error.value) == (
        f"{folder}/part-00000, line 4: {24 + change} columns, must be 24 separated by \\x01"
    )


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("tweet_id", "12", "at least 16 hexadecimal digits"),
        ("engaging_user_id", "Z" * 32, "at least 16 hexadecimal digits"),
        ("tweet_timestamp", "yesterday", "a whole number, at least 0"),
        ("tweet_timestamp", "", "a whole number, at least 0"),
        ("engaged_with_user_follower_count", "1.5", "a whole number, at least 0"),
        ("like_timestamp", "soon", "a whole number, at least 0"),
        ("engagee_follows_engager", "maybe", "true or false"),
        ("tweet_type", "Thread", "TopLevel, Retweet, Quote, Reply"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_line(tmp_path, column, value, allowed):
    lines = [line(tweet_id=1), line(tweet_id=2), line(**{column: value})]
    folder = write(tmp_path / "log", lines)
    with pytest.raises(ValueError, match=r".") as error:
        read_all(folder)
    said = str(error.value)
    found = "None" if not value else repr(value)
    assert said == f"{folder}/part-00000, line 3: {column} is {found}, must be {allowed}"


def test_rows_that_cannot_be_used_are_dropped_and_counted(tmp_path):
    lines = [
        line(tweet_id=1, engaging_user_id=2),
        line(tweet_id=1, engaging_user_id=2),  # again
        line(tweet_id=2, like_timestamp=END_S - 2),  # before its tweet
        line(tweet_id=3, like_timestamp=END_S + DAY_S + 1),  # after the end of the log
        line(tweet_id=4, text_tokens="1\tx\t2"),
        line(tweet_id=5, text_tokens=f"1\t{len(WORDS)}\t2"),
        line(tweet_id=5, text_tokens=f"1\t{len(WORDS)}\t2", engaging_user_id=3),
        line(tweet_id=6, text_tokens="-1"),
        line(tweet_id=7, tweet_timestamp=END_S - 9 * DAY_S),
        line(tweet_id=8, text_tokens=""),
        line(tweet_id=9, like_timestamp=END_S + DAY_S),
    ]
    log = read_all(write(tmp_path / "log", lines), begin_s=END_S - DAY_S)
    assert log.rows["tweet_id"].to_list() == [1, 8, 9]
    assert log.rows["event_id"].to_list() == [0, 9, 10]
    assert log.tweets["tokens"].list.len().to_list() == [4, 0, 4]
    assert list(log.dropped.values()) == [1, 2, 4, 1]
    assert len(lines) == log.rows.height + sum(log.dropped.values())


def test_nothing_to_read_and_what_cannot_be_unpacked_are_said(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere: no part files here"):
        parts(tmp_path / "nowhere")
    (tmp_path / "part-0.lzo").write_bytes(b"")
    with pytest.raises(ValueError, match=r"part-0.lzo: .lzo cannot be read; unpack it, or use"):
        parts(tmp_path)
    (tmp_path / "empty").write_text("")
    with pytest.raises(ValueError, match=r"empty: no rows"):
        last_time([tmp_path / "empty"])


def test_the_format_has_24_columns_and_ids_keep_64_bits():
    assert len(COLUMNS) == len(set(COLUMNS)) == 24
    assert line().count(SEPARATOR) == 23
    assert identifier(5).startswith("0000000000000005")


@pytest.mark.parametrize("packed", [("gz", gzip.compress), ("bz2", bz2.compress)])
@pytest.mark.parametrize("wrong", ["cut short", "no archive"])
def test_a_part_that_cannot_be_unpacked_is_named_in_one_line(tmp_path, packed, wrong):
    suffix, compress = packed
    text = "\n".join(random_lines(np.random.default_rng(0), rows=60)).encode() + b"\n"
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "part-0").write_bytes(text)
    data = compress(text)[:-400] if wrong == "cut short" else b"this is text"
    (folder / f"part-1.{suffix}").write_bytes(data)
    for reading in (read_all, lambda folder: last_time(parts(folder))):
        with pytest.raises(ValueError, match=rf"^{folder}/part-1\.{suffix}.*") as error:
            reading(folder)
        assert "\n" not in str(error.value)


def test_times_in_milliseconds_are_refused_with_their_line(tmp_path):
    late = line(tweet_id=2, tweet_timestamp=1000 * END_S)
    folder = write(tmp_path / "log", [line(tweet_id=1), late])
    with pytest.raises(ValueError, match=r"log/part-00000, line 2: tweet_timestamp is '\d+000'"):
        last_time(parts(folder))


def test_one_packed_part_is_in_memory_at_a_time(tmp_path, monkeypatch):
    folder = tmp_path / "log"
    folder.mkdir()
    lines = random_lines(np.random.default_rng(0), rows=60)
    for n in range(4):
        text = "\n".join(lines[n * 15 : n * 15 + 15]).encode() + b"\n"
        (folder / f"part-{n}.bz2").write_bytes(bz2.compress(text))
    done = []
    unpack, collect = tweets.read._source, pl.LazyFrame.collect

    def noted(what, function):
        return lambda one, *more, **options: done.append(what) or function(one, *more, **options)

    monkeypatch.setattr(tweets.read, "_source", noted("unpacked", unpack))
    monkeypatch.setattr(pl.LazyFrame, "collect", noted("let go", collect))
    last_time(parts(folder))
    assert done == ["unpacked", "let go"] * 4
