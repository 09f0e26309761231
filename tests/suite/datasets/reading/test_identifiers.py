import hashlib
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from suite import registry
from suite.datasets.reading.identifiers import canonical_ids, refuse_twice
from suite.parts import Part
from suite.steps.features import prepare
from suite.steps.half import half

SHANGHAI = ZoneInfo("Asia/Shanghai")


def blake2b(text):
    return int(np.frombuffer(hashlib.blake2b(text.encode(), digest_size=8).digest(), ">i8")[0])


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_a_whole_number_is_its_own_id_typed_or_written(numbers):
    assert canonical_ids(pl.Series(numbers, dtype=pl.Int64)).to_list() == numbers
    written = pl.Series([str(number) for number in numbers], dtype=pl.String)
    assert canonical_ids(written).to_list() == numbers


@pytest.mark.parametrize("text", ["07", "007", "1e3", "-0", " 7", "", "u7", "é", str(2**63), "+7"])
def test_any_other_text_is_hashed(text):
    assert canonical_ids(pl.Series(["7", text, None])).to_list() == [7, blake2b(text), None]


@pytest.mark.parametrize(
    "ids",
    [
        pl.Series([7.0, None, 12.0]),
        pl.Series([7, None, 12], dtype=pl.UInt8),
        pl.Series([7, None, 12], dtype=pl.UInt64),
        pl.Series([7, None, 12], dtype=pl.Int128),
        pl.Series([Decimal(7), None, Decimal(12)]),
        pl.Series(["7", None, "12"], dtype=pl.Categorical),
    ],
)
def test_the_type_of_a_column_decides_nothing(ids):
    assert canonical_ids(ids.alias("user")).equals(pl.Series("user", [7, None, 12]))


def test_a_number_beyond_64_bits_is_one_id_in_every_type():
    most = 2**64 - 1

    assert canonical_ids(pl.Series([most], dtype=pl.UInt64))[0] == blake2b(str(most))
    assert canonical_ids(pl.Series([2**70], dtype=pl.Int128))[0] == blake2b(str(2**70))


def test_an_id_does_not_depend_on_who_else_is_there():
    ids = pl.Series([f"reader-{n}" for n in range(300)])

    assert canonical_ids(ids).n_unique() == 300
    assert canonical_ids(ids.tail(7)).equals(canonical_ids(ids).tail(7))


def test_two_ids_with_one_number_are_refused():
    ids = pl.Series("user", ["u7", str(blake2b("u7"))])

    with pytest.raises(ValueError, match=r"^user: ids '-?\d+' and 'u7' get the same 64-bit number"):
        canonical_ids(ids)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a", "130-video", "b", "130-video"], "'130-video' occurs 2 times, in rows 1, 3 (from 0)"),
        ([7.0, None, 7.0, None], "'7' occurs 2 times, in rows 0, 2 (from 0)"),
        (
            [*"abab", *"bbbb"],
            "'a' occurs 2 times, in rows 0, 2 (from 0), and 1 other such id",
        ),
        (["7"] * 9, "'7' occurs 9 times, in rows 0, 1, 2, 3, 4 (from 0)"),
    ],
)
def test_an_id_that_occurs_twice_is_named_as_the_file_has_it(ids, said):
    with pytest.raises(ValueError, match=r".") as error:
        refuse_twice(pl.Series("video", ids), "items.csv")
    assert str(error.value) == f"items.csv: video {said}; ids must be unique"


def test_ids_that_occur_once_pass():
    refuse_twice(pl.Series(["7", "07", "007", None, None]), "items.csv")


def log():
    """Thirty users, about four events a day from 8 to 21 April 2022, local time."""
    rng = np.random.default_rng(7)
    hours = rng.permuted(np.tile(np.arange(24), (30, 14, 1)), axis=2)[:, :, :4]
    return [
        {
            "user_id": 1013 * user % 911,
            "video_id": int(rng.integers(500, 540)),
            "time_ms": int(
                datetime(2022, 4, 8 + day, hours[user, day, n], tzinfo=SHANGHAI).timestamp() * 1000
            ),
            "is_like": int(rng.integers(2)),
            "long_view": int(rng.integers(2)),
            "play_time_ms": int(rng.integers(30_000)),
            "duration_ms": 30_000,
        }
        for user in range(30)
        for day in range(14)
        for n in range(4)
    ]


def adapters(tmp_path):
    """Give the same log to both adapters; the table's ids are text."""
    rows = pl.DataFrame(log())
    (tmp_path / "official").mkdir()
    rows.write_csv(tmp_path / "official/log_standard.csv")
    rows.select(
        pl.format("{}", "user_id").alias("who"),
        pl.col("video_id").cast(pl.String),
        "time_ms",
        "long_view",
        seconds=pl.col("play_time_ms") / 1000,
        percent=(100 * pl.col("play_time_ms") / pl.col("duration_ms")).clip(0, 100),
    ).sample(fraction=1, shuffle=True, seed=3).write_parquet(tmp_path / "mine.parquet")
    mine = {
        "events": str(tmp_path / "mine.parquet"),
        "user": "who",
        "item": "video_id",
        "time": "time_ms",
        "time_unit": "ms",
        "label": "long_view",
        "channels": ["seconds", "percent"],
        "time_zone": "Asia/Shanghai",
        "train": "2022-04-12",
        "validation": "2022-04-16",
        "test": "2022-04-18",
        "end": "2022-04-22",
        "history_days": 4,
    }
    return (
        Part(name="kuairand", parameters={"path": str(tmp_path / "official")}),
        Part(name="table", parameters=registry.parameters("datasets", "table", mine)),
    )


def test_a_log_gives_the_same_holdout_features_and_cuts_through_either_adapter(tmp_path):
    parts = adapters(tmp_path)
    official, mine = (prepare(dataset=part, holdout_users=0.3) for part in parts)

    assert_frame_equal(official.events.drop("like"), mine.events)
    assert 0 < official.events.filter(~pl.col("trained"))["user_id"].n_unique() < 30
    for name in ("aggregates", "sequence", "mask", "categorical", "continuous"):
        assert np.array_equal(getattr(official, name), getattr(mine, name)), name
    for name in ("static", "rolling", "unseen", "open_set"):
        cutter = registry.create("protocols", name, {})
        assert_frame_equal(cutter.cut(official.events), cutter.cut(mine.events))


@pytest.mark.parametrize("side", ["gallery", "probe"])
def test_a_history_is_halved_alike_through_either_adapter(tmp_path, side):
    official, mine = (
        half(prepare(dataset=part, holdout_users=0.3), dataset=part, side=side)
        for part in adapters(tmp_path)
    )

    assert official.events.height > 0
    assert_frame_equal(official.events.drop("like"), mine.events)
    assert np.array_equal(official.aggregates, mine.aggregates)
