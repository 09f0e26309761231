from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.datasets.labels import engaged, label

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "how", "expected"),
    [
        (["buy", "view", " buy ", "Buy"], {"positive": ["buy"]}, [True, False, True, False]),
        (["buy", "cart", "view"], {"positive": ["buy", "cart"]}, [True, True, False]),
        (["buy", None, ""], {"positive": ["buy"]}, [True, None, False]),
        ([1, 2, 5, None], {"positive": [5, 2]}, [False, True, True, None]),
        (["4.0", "4", "3", "x"], {"positive": [4]}, [True, True, False, False]),
        (["7", "07"], {"positive": ["7"]}, [True, False]),
        ([1, 0], {"positive": [1]}, [True, False]),
        ([True, False, None], {"positive": [False]}, [False, True, None]),
        (["TRUE", "false"], {"positive": [True]}, [True, False]),
        ([4.0, NAN, 3.5, None], {"at_least": 4}, [True, None, False, None]),
        (["4.0", "3", " 3.5 ", None], {"at_least": 3, "below": 4}, [False, True, True, None]),
        ([Decimal("3.5"), Decimal(4)], {"above": 3.5}, [False, True]),
        ([1, 2, 3], {"at_most": 2}, [True, True, False]),
        (["1", "0", "true", "False"], {}, [True, False, True, False]),
        ([True, False, None], {}, [True, False, None]),
        ([0.0, 1.0, NAN], {}, [False, True, None]),
    ],
)
def test_what_engages_is_what_is_named(values, how, expected):
    column = pl.Series("event", values, strict=False)

    found = engaged(column, label({"column": "event", **how}), "log.csv")
    assert found.dtype == pl.Boolean
    assert found.to_list() == expected


def test_categories_are_text():
    column = pl.Series("event", ["buy", "view"], dtype=pl.Categorical)

    assert engaged(column, label({"column": "event", "positive": ["buy"]}), "f")[0]


@given(
    st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1),
    st.sampled_from(["at_least", "above", "at_most", "below"]),
    st.floats(-5, 5),
)
def test_bounds_compare_as_python_does(values, name, bound):
    holds = {
        "at_least": lambda value: value >= bound,
        "above": lambda value: value > bound,
        "at_most": lambda value: value <= bound,
        "below": lambda value: value < bound,
    }[name]
    found = engaged(
        pl.Series("x", values, dtype=pl.Float64), label({"column": "x", name: bound}), "f"
    )

    assert found.to_list() == [None if value is None else holds(value) for value in values]


def test_a_name_alone_and_a_bound_beside_it_are_a_label():
    assert label("done") == label({"column": "done"})
    assert label("dwell", 20) == label({"column": "dwell", "above": 20})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"positive": ["buy"]}, "label.column: found None, must be the name of a column"),
        ({"column": "e", "positives": ["b"]}, "label: unknown key 'positives'; did you mean 'pos"),
        ({"column": "e", "positive": "buy"}, "label.positive: found 'buy', must be a list such"),
        ({"column": "e", "positive": []}, "label.positive: found [], must be a list such as"),
        ({"column": "e", "positive": [None]}, "label.positive: found None, must be texts, numbe"),
        ({"column": "e", "positive": ["b"], "above": 1}, "label: found above and positive"),
        ({"column": "e", "at_least": "4"}, "label.at_least: found '4', must be a number"),
        ({"column": "e", "at_least": True}, "label.at_least: found True, must be a number"),
        ({"column": "e", "at_least": NAN}, "label.at_least: found nan, must be a number"),
    ],
)
def test_other_labels_are_refused(given, said):
    with pytest.raises(ValueError, match=r".") as error:
        label(given)
    assert str(error.value).startswith(said)


def test_two_bounds_of_one_kind_are_refused():
    with pytest.raises(ValueError, match=r"above: found 3 and label.above, allowed: one of"):
        label({"column": "rating", "above": 2}, 3)


@pytest.mark.parametrize(
    ("values", "how", "said"),
    [
        (["1", "x"], {}, "log.csv, row 1 (from 0): event is 'x', allowed: Boolean, or 0 and 1"),
        ([1, 0, 2], {}, "log.csv, row 2 (from 0): event is 2, allowed: Boolean, or 0 and 1"),
        (["5", "x"], {"at_least": 4}, "log.csv, row 1 (from 0): event is 'x', allowed: a number"),
        (
            ["view", "view", "cart"],
            {"positive": ["buy"]},
            "log.csv: event has none of the values ['buy']; the most frequent of its 2 are 'view', "
            "'cart'",
        ),
    ],
)
def test_values_that_do_not_fit_are_named(values, how, said):
    with pytest.raises(ValueError, match=r".") as error:
        engaged(pl.Series("event", values), label({"column": "event", **how}), "log.csv")
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
