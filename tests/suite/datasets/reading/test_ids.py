from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.datasets.reading import values
from suite.datasets.reading.ids import text_ids


def place(row):
    return "f.csv" if row is None else f"f.csv, row {row}"


def read(given, dtype=None):
    return text_ids(pl.Series("user", given, dtype=dtype), place)


def message(given, dtype=None):
    with pytest.raises(ValueError, match=r".") as error:
        read(given, dtype)
    return str(error.value)


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical])
def test_text_is_not_read_as_numbers(dtype):
    distinct = ["7", "07", "007", "1e3", "10e2", "100e1", "7.0", "+7", "0x7", "u"]
    found = read(distinct, dtype)

    assert found.text.to_list() == distinct
    assert found.num_stripped == 0


def test_blanks_are_stripped_and_counted():
    found = read(["1", "1 ", " 1", "\u00a01\t", "1 2", None, "  "])

    assert found.text.to_list() == ["1", "1", "1", "1", "1 2", None, None]
    assert found.num_stripped == 3


@pytest.mark.parametrize("spelling", values.MISSING)
def test_missing_ids_are_null(spelling):
    assert read(["a", spelling, f" {spelling} ", None]).text.to_list() == ["a", None, None, None]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**53) + 1, 2**53 - 1)), min_size=1))
def test_whole_numbers_are_one_id_in_every_type(numbers):
    """As pandas writes them: Int64, or floats where one is missing, in a file of text too."""
    expected = [None if number is None else str(number) for number in numbers]
    floats = [float("nan") if number is None else float(number) for number in numbers]
    texts = ["" if number is None else f"{number}.0" for number in numbers]

    assert read(numbers, pl.Int64).text.to_list() == expected
    assert read(floats, pl.Float64).text.to_list() == expected
    assert read(texts, pl.String).text.to_list() == expected


def test_other_types_have_a_text():
    assert read([7, None], pl.Int128).text.to_list() == ["7", None]
    assert read([2**64 - 1], pl.UInt64).text.to_list() == [str(2**64 - 1)]
    assert read([Decimal("7.00"), Decimal("7.50")]).text.to_list() == ["7", "7.50"]
    assert read([b"ab", "é".encode()]).text.to_list() == ["ab", "é"]
    assert read([b"ab", b"\xff\x00"]).text.to_list() == ["6162", "ff00"]
    assert read([True, None]).text.to_list() == ["true", None]
    assert read([date(2026, 1, 2)]).text.to_list() == ["2026-01-02"]
    assert read([None], pl.Null).text.to_list() == [None]


@pytest.mark.parametrize(
    ("value", "dtype", "limit"),
    [
        (1.5, pl.Float64, 2**53),
        (float("inf"), pl.Float64, 2**53),
        (2.0**53, pl.Float64, 2**53),
        (2.0**24, pl.Float32, 2**24),
    ],
)
def test_a_float_that_may_stand_for_several_ids_is_refused(value, dtype, limit):
    text = message([1.0, value], dtype)

    assert text.startswith(f"f.csv, row 1: user is {value}, must be text, or an integer below")
    assert f"below {limit}: larger ones are not exact as {dtype}" in text


@pytest.mark.parametrize("value", [[1], {"a": 1}, timedelta(1)])
def test_types_without_a_text_are_refused(value):
    assert message([value]).startswith("f.csv: user is ")
    assert message([value]).endswith(", must be text or integers")


def test_numbers_are_read_from_text_and_types():
    def numbers(given, dtype=None):
        return values.numbers(pl.Series("x", given, dtype=dtype), place).to_list()

    texts = ["1", "-2.5", "1e3", ".5", "2.", "NA", "", None]
    assert numbers(texts) == [1, -2.5, 1000, 0.5, 2, None, None, None]
    assert numbers([Decimal("1.5"), None]) == [1.5, None]
    assert numbers([1.0, float("nan")]) == [1, None]
    assert numbers([2, None], pl.Int128) == [2, None]
    assert numbers([True, False]) == [1, 0]
    with pytest.raises(ValueError, match=r"^f.csv, row 1: x is '1,5', must be a number$"):
        numbers(["1", "1,5"])
    with pytest.raises(ValueError, match=r"^f.csv: x is List\(Int64\), must be a number$"):
        numbers([[1]])


def test_text_gets_the_type_that_all_its_values_have():
    def typed(given):
        return values.typed(pl.Series("x", given))

    assert typed(["true", "FALSE", ""]).to_list() == [True, False, None]
    assert typed(["1", "NA"]).equals(pl.Series("x", [1, None]))
    assert typed(["1", "1.5"]).equals(pl.Series("x", [1.0, 1.5]))
    assert typed(["buy", "1"]).to_list() == ["buy", "1"]
    assert typed(["", None]).to_list() == ["", None]
    assert typed([1, 2]).to_list() == [1, 2]


def test_yes_and_no():
    def booleans(given):
        return values.booleans(pl.Series("x", given), place).to_list()

    assert booleans(["True", "false", "NA"]) == [True, False, None]
    assert booleans(["1", "0"]) == [True, False]
    assert booleans([1.0, None]) == [True, None]
    with pytest.raises(ValueError, match=r"row 1: x is 'yes', must be true or false, or 1 or 0$"):
        booleans(["1", "yes"])
    with pytest.raises(ValueError, match=r"row 0: x is 2, must be true or false, or 1 or 0$"):
        booleans([2])
