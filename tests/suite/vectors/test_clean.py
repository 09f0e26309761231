from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from suite.vectors.clean import identifiers, roles, times


def place(row: int | None) -> str:
    return "file" if row is None else f"file, row {row}"


@pytest.mark.parametrize(
    ("values", "expected", "num_stripped"),
    [
        (["7", "07", "7", "7 "], ["7", "07", "7", "7"], 1),
        (["1e3", "10e2", "NaN", ""], ["1e3", "10e2", None, None], 0),
        (pl.Series(["a", " a", " ", "b"], dtype=pl.Categorical), ["a", "a", None, "b"], 1),
        ([1.0, float("nan"), None, 2.0], [1.0, None, None, 2.0], 0),
        ([b"a", b"", None, b"\xff"], [b"a", None, None, b"\xff"], 0),
        ([1, 2, None, 1], [1, 2, None, 1], 0),
    ],
)
def test_ids_are_text_unless_typed_and_missing_ones_are_null(
    values: Any, expected: list[Any], num_stripped: int
) -> None:
    found, stripped = identifiers(pl.Series("u", values), place)
    assert found.to_list() == expected
    assert stripped == num_stripped


HOURS = [9, 10, 8, 100]


@pytest.mark.parametrize(
    "values",
    [
        HOURS,
        [float(one) for one in HOURS],
        [str(one) for one in HOURS],
        pl.Series([str(one) for one in HOURS], dtype=pl.Categorical),
        pl.Series([str(one) for one in HOURS], dtype=pl.Enum([str(one) for one in HOURS])),
        [f"{one}e0" for one in HOURS],
        [(datetime(2026, 1, 1) + timedelta(hours=one)).isoformat() for one in HOURS],
        [
            (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=one))
            .astimezone(timezone(timedelta(hours=-5 * place)))
            .isoformat()
            for place, one in enumerate(HOURS)
        ],
        [f"2026-01-01T{one % 24:02}:00:00Z" for one in (9, 10, 8, 23)],
        [date(2026, 1, 1) + timedelta(days=one) for one in HOURS],
        [datetime(2026, 1, 1) + timedelta(hours=one) for one in HOURS],
        [timedelta(hours=one) for one in HOURS],
        [time(one % 24) for one in (9, 10, 8, 23)],
        pl.Series([2**62 + one for one in HOURS], dtype=pl.UInt64),
        [str(2**60 + one) for one in HOURS],
    ],
)
def test_times_of_every_form_are_in_their_order(values: Any) -> None:
    assert times(pl.Series("t", values), place).rank().to_list() == [2, 3, 1, 4]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (["1", None], "file, row 1: t: the time is missing"),
        ([float("nan"), 1.0], "file, row 0: t: the time is missing"),
        (["1", ""], "file, row 1: t: the time is missing"),
        (["yesterday", "today"], "file, row 0: t is 'yesterday', must be"),
        (["2026-01-01", "01/02/2026"], "file, row 1: t is '01/02/2026', must be"),
        (["morning", "noon"], "t is 'morning'"),
        ([Decimal(1), Decimal(2)], "file: t is Decimal.*, must be integers or floats"),
        (pl.Series([1, 2], dtype=pl.Int128), "file: t is Int128"),
        ([True, False], "file: t is Boolean"),
        ([b"1", b"2"], "file: t is Binary"),
        ([[1], [2]], "file: t is List"),
        ([{"a": 1}], "file: t is Struct"),
    ],
)
def test_what_has_no_order_in_time_is_refused(values: Any, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        times(pl.Series("t", values), place)


def test_roles_are_two_words() -> None:
    good = pl.Series("role", ["gallery", " probe"])
    assert roles(good, place, is_named=False).to_list() == ["gallery", "probe"]
    for values in (["gallery", "editor"], ["gallery", None]):
        with pytest.raises(
            ValueError, match=r"file, row 1: role is .*; ignore the column with --no-role"
        ):
            roles(pl.Series("role", values), place, is_named=False)
        with pytest.raises(ValueError, match=r"must be 'gallery' or 'probe'$"):
            roles(pl.Series("role", values), place, is_named=True)
    for odd in ([1, 2], [timedelta(1)], [[1]], [b"probe"]):
        with pytest.raises(ValueError, match=r"file: role is \w+.*, must be text"):
            roles(pl.Series("role", odd), place, is_named=True)
