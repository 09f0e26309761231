from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.datasets.reading.times import instants, refuse_outside

NOON = datetime(2026, 1, 2, 11, tzinfo=UTC)
NOON_S = 1767351600
BERLIN = "Europe/Berlin"


def place(row):
    return "f.csv" if row is None else f"f.csv, row {row}"


def read(given, dtype=None, **how):
    return instants(pl.Series("time", given, dtype=dtype), place, **how)


def utc(given, dtype=None, **how):
    found = read(given, dtype, **how).utc
    assert found.dtype == pl.Datetime("us", "UTC")
    return found.to_list()


def message(given, dtype=None, **how):
    with pytest.raises(ValueError, match=r".") as error:
        read(given, dtype, **how)
    return str(error.value)


@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
            st.sampled_from([None, 0, 330, -210, 60]),
            st.sampled_from(["seconds", "microseconds", "minutes"]),
            st.sampled_from(["T", " "]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_mixed_iso_8601_is_what_python_reads(moments):
    texts, expected = [], []
    for naive, ahead, detail, between in moments:
        zone = None if ahead is None else timezone(timedelta(minutes=ahead))
        text = naive.replace(tzinfo=zone).isoformat(between, detail)
        texts.append(text.replace("+00:00", "Z"))
        known = datetime.fromisoformat(text)
        expected.append((known if known.tzinfo else known.replace(tzinfo=UTC)).astimezone(UTC))

    assert utc(texts) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T11:00:00Z",
        "2026-01-02T11:00:00.000000000Z",
        "2026-01-02 11:00:00 UTC",
        "2026-01-02t11:00z",
        "20260102T110000Z",
        "2026-01-02T12:00:00+01",
        "2026-01-02T12:00:00,000+0100",
        "2026-01-02 05:30:00 -05:30",
        "2026-01-02 12:00",
        "2026-01-02T12:00:00",
    ],
)
def test_forms_of_iso_8601(text):
    """Alone, and between others; without an offset it is local."""
    assert utc([text, None], zone=BERLIN) == [NOON, None]
    assert utc(["2026-01-02", text, "2026-01-02T11:00:00Z"], zone=BERLIN)[1] == NOON


def test_fractions_are_kept_to_microseconds():
    assert utc(["2026-01-02T11:00:00.123456789Z", "2026-01-02T11:00:00.5"]) == [
        NOON.replace(microsecond=123456),
        NOON.replace(microsecond=500000),
    ]


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.Int128, pl.Float64, pl.String])
def test_numbers_since_1970_are_instants(unit, per_s, dtype):
    series = pl.Series("time", [NOON_S * per_s, None]).cast(dtype)

    assert instants(series, place, unit=unit).utc.to_list() == [NOON, None]


@pytest.mark.parametrize("dtype", [pl.Int32, pl.UInt32])
def test_seconds_of_32_bits_do_not_overflow(dtype):
    assert utc([NOON_S, None], dtype, unit="s") == [NOON, None]


def test_seconds_may_have_fractions():
    half = NOON.replace(microsecond=500000)

    assert utc([NOON_S + 0.5, float("nan")], unit="s") == [half, None]
    assert utc([Decimal("1767351600.5")], unit="s") == [half]
    assert utc(["1767351600.5", "1.7673516E9"], unit="s") == [half, NOON]
    assert utc(["881250949.0"], unit="s") == [datetime.fromtimestamp(881250949, UTC)]


def test_date_times_and_dates_of_any_unit():
    for unit in ("ms", "us", "ns"):
        assert utc([datetime(2026, 1, 2, 12)], pl.Datetime(unit), zone=BERLIN) == [NOON]
        tokyo = pl.Series(
            [NOON.replace(tzinfo=None)], dtype=pl.Datetime(unit)
        ).dt.replace_time_zone("UTC")
        assert instants(tokyo.dt.convert_time_zone("Asia/Tokyo"), place).utc.to_list() == [NOON]
    assert utc([date(2026, 1, 2)], zone=BERLIN) == [datetime(2026, 1, 1, 23, tzinfo=UTC)]
    assert utc(["2026-01-02"], zone=BERLIN) == [datetime(2026, 1, 1, 23, tzinfo=UTC)]
    assert utc([None, None], pl.Null) == [None, None]


@pytest.mark.parametrize("dtype", [pl.Int32, pl.Int64, pl.Float64, pl.String])
def test_integer_dates_have_a_form(dtype):
    series = pl.Series("time", [20220408, None]).cast(dtype)

    for unit in (None, "s"):
        found = instants(series, place, form="%Y%m%d", unit=unit, zone="Asia/Shanghai").utc
        assert found.to_list() == [datetime(2022, 4, 7, 16, tzinfo=UTC), None]


def test_with_a_unit_and_a_form_each_column_has_its_own():
    assert utc([NOON_S], unit="s", form="%Y%m%d") == [NOON]
    assert utc(["2026-01-02 11"], unit="s", form="%Y-%m-%d %H") == [NOON]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2026-01-02T11:00:00Z", "%Y-%m-%dT%H:%M:%SZ"),
        ("2026-01-02T11:00:00Z", "%Y-%m-%dT%H:%M:%S%z"),
        ("2026-01-02T12:00:00+0100", "%Y-%m-%dT%H:%M:%S%z"),
        ("Fri Jan 02 06:00:00 -0500 2026", "%a %b %d %H:%M:%S %z %Y"),
        ("02/01/2026 12:00", "%d/%m/%Y %H:%M"),
        ("26010212", "%y%m%d%H"),
        ("1/2/2026 12:00:00 PM", "%m/%d/%Y %I:%M:%S %p"),
        ("2026-01-02 12:00:00.000000", "%Y-%m-%d %H:%M:%S.%f"),
    ],
)
def test_a_form_is_strftimes_and_its_z_is_utc(text, form):
    assert utc([text, None, ""], form=form, zone=BERLIN) == [NOON, None, None]


def test_pythons_fraction_is_one():
    """In chrono .%f would be 250 nanoseconds."""
    assert utc(["2026-01-02 11:00:00.250"], form="%Y-%m-%d %H:%M:%S.%f") == [
        NOON.replace(microsecond=250_000)
    ]


@pytest.mark.parametrize("typed", [False, True])
def test_clock_changes_skip_and_repeat_local_times(typed):
    moments = [
        datetime(2026, 3, 29, 2, 30),
        datetime(2026, 10, 25, 2, 30),
        datetime(2026, 1, 2, 12),
    ]
    found = read(moments if typed else [str(moment) for moment in moments], zone=BERLIN)
    first = moments[1].replace(tzinfo=ZoneInfo(BERLIN), fold=0).astimezone(UTC)

    assert found.utc.to_list() == [None, first, NOON]
    assert found.skipped.to_list() == [True, False, False]
    assert found.repeated.to_list() == [False, True, False]
    assert utc([f"{moment}+01:00" for moment in moments], zone=BERLIN)[0] is not None


@pytest.mark.parametrize("spelling", ["", " ", "NA", "nan", "NaN", "null", "NULL", "None", "\\N"])
def test_missing_times_are_null(spelling):
    assert utc([str(NOON_S), spelling], unit="s") == [NOON, None]
    assert utc(["2026-01-02T11:00:00Z", spelling]) == [NOON, None]


def test_blanks_around_all_times_are_the_files_and_around_some_are_stray():
    assert utc([f" {NOON_S}", f" {NOON_S}"], unit="s") == [NOON, NOON]
    assert message([f"{NOON_S}", f"{NOON_S} "], unit="s") == (
        "f.csv, row 1: time is '1767351600 ', must be a number (s since 1970: time_unit)"
    )


@pytest.mark.parametrize(
    ("given", "how", "said"),
    [
        (["2026-01-02", "yesterday"], {}, "row 1: time is 'yesterday', must be ISO 8601 such as"),
        (["2026-02-30"], {}, "row 0: time is '2026-02-30', must be ISO 8601"),
        (["2026-01-02T25:00:00Z"], {}, "row 0: time is '2026-01-02T25:00:00Z', must be ISO 8601"),
        ([None, NOON_S], {}, "row 1: time is 1767351600, a number: time_unit must be s, ms, us"),
        (["", str(NOON_S)], {}, "row 1: time is '1767351600', a number: time_unit must be"),
        ([str(NOON_S), "abc"], {"unit": "s"}, "row 1: time is 'abc', must be a number (s since"),
        (
            [20220408, 2022],
            {"form": "%Y%m%d"},
            "row 1: time is 2022, must be of the format '%Y%m%d'",
        ),
        (["x"], {"form": "%H:%M"}, "row 0: time is 'x', must be of the format '%H:%M'"),
        ([NOON_S * 10**9], {"unit": "s"}, "must be a time in s since 1970 (time_unit), before"),
        ([2**63], {"unit": "ms"}, "must be a time in ms since 1970 (time_unit), before"),
        ([float("inf")], {"unit": "s"}, "row 0: time is inf, must be a time in s since 1970"),
        ([True], {}, "f.csv: time is Boolean, must be a time"),
        ([time(1)], {}, "f.csv: time is Time, must be a time"),
        ([[1]], {"unit": "s"}, "f.csv: time is List(Int64), must be a time"),
        (["x"], {"form": "%Y %Z"}, "time_format: found '%Y %Z', zone names (%Z) are not supported"),
        (["a\nb\x1b" + "c" * 99], {}, "row 0: time is 'a\\nb\\x1bccc"),
    ],
)
def test_a_stray_value_is_refused_with_row_and_value(given, how, said):
    text = message(given, **how)

    assert said in text
    assert text.isprintable()
    assert len(text) < 220


def test_a_wrong_unit_is_told_by_the_range_that_it_gives():
    span = {"begin": datetime(2026, 1, 1, tzinfo=UTC), "end": datetime(2026, 2, 1, tzinfo=UTC)}
    seconds = pl.Series([NOON_S, None, NOON_S + 3600])

    def outside(unit):
        found = instants(seconds.alias("time"), place, unit=unit).utc
        refuse_outside(found, **span, path="f.csv", column="time", unit=unit)

    outside("s")
    with pytest.raises(ValueError, match=r"2026-01-01 00:00 to 2026-02-01 00:00") as error:
        outside("ms")
    assert str(error.value).endswith(
        "found with time_unit ms are 1970-01-21 10:55 to 1970-01-21 10:55 (UTC)"
    )
    seconds *= 1000
    with pytest.raises(ValueError, match=r"found with time_unit s are \+57975-02-22 08:00 to"):
        outside("s")
