from __future__ import annotations

import pytest

from suite.vectors.choice import Kind, choose, refuse_one_of_many

NUMBERS: dict[str, Kind] = dict.fromkeys(["10", "2", "0", "1"], "number")
EMB: dict[str, Kind] = dict.fromkeys(["emb_10", "emb_2", "emb_1"], "number")
OTHERS: dict[str, Kind] = {"user_id": "number", "age": "number", "name": "other"}


@pytest.mark.parametrize(
    ("kinds", "given", "expected"),
    [
        ({"vector": "list"}, [], ["vector"]),
        ({"vector": "number"}, [], ["vector"]),
        ({"emb": "list"}, [], ["emb"]),
        (NUMBERS, [], ["0", "1", "2", "10"]),
        (EMB, [], ["emb_1", "emb_2", "emb_10"]),
        ({"vector": "list", "emb": "list"}, [], ["vector"]),
        ({"vector_1": "number", "vector_0": "number"}, [], ["vector_0", "vector_1"]),
        (NUMBERS | EMB, ["emb"], ["emb_1", "emb_2", "emb_10"]),
        ({"emb": "list"} | EMB, ["emb"], ["emb"]),
        (EMB, ["emb_2", "emb_1"], ["emb_2", "emb_1"]),
        ({"l2_1": "number", "l2_0": "number"}, ["l2"], ["l2_0", "l2_1"]),
        ({"l21": "number", "l20": "number"}, ["l2"], ["l20", "l21"]),
        ({"x": "number"}, ["x"], ["x"]),
        # One number that is missing in the first rows does not lose its dimension.
        ({"0": "number", "1": "other", "2": "number"}, [], ["0", "1", "2"]),
        ({"tag_0": "other", "tag_1": "other", "emb": "list"}, [], ["emb"]),
    ],
)
def test_vectors_are_the_columns_that_are_meant(
    kinds: dict[str, Kind], given: list[str], expected: list[str]
) -> None:
    assert choose(OTHERS | kinds, given, taken=["user_id"]) == expected


@pytest.mark.parametrize(
    ("kinds", "given", "line"),
    [
        ({}, [], "no column 'vector'; found: user_id, age, name"),
        ({"x": "number"}, [], "no column 'vector'; found"),
        ({"a": "list", "b": "list"}, [], r"could be the vectors: 'a', 'b'; choose"),
        (NUMBERS | EMB, [], r"'0' .. '10' \(4 columns\), 'emb_1' .. 'emb_10' \(3 columns\)"),
        ({"a": "list"} | NUMBERS, [], r"could be the vectors: 'a', '0' .. '10' \(4 columns\)"),
        ({"vector": "number"} | EMB, [], r"could be the vectors: 'vector', 'emb_1' .. 'emb_10'"),
        (
            {"vector": "number", "vector_0": "number", "vector_1": "number"},
            [],
            "'vector', 'vector_",
        ),
        (EMB | {"emb01": "number"}, ["emb"], "'emb01' and 'emb_1' have the same number"),
        (EMB | {"emb01": "number"}, [], "'emb01' and 'emb_1' have the same number"),
        (EMB, ["embedding"], "no column 'embedding'; found: user_id"),
        (EMB, ["emb_1", "emb_2", "emb_1"], "--vector: emb_1 is given twice"),
    ],
)
def test_nothing_is_picked_where_others_may_be_meant(
    kinds: dict[str, Kind], given: list[str], line: str
) -> None:
    with pytest.raises(ValueError, match=line):
        choose(OTHERS | kinds, given, taken=["user_id"])


@pytest.mark.parametrize(
    ("name", "names", "line"),
    [
        (
            "0",
            ["0", "1", "2"],
            r"--vector 0: is a single column of numbers beside '0' .. '2' \(3 columns\)",
        ),
        ("emb_2", ["emb_1", "emb_2"], r"beside 'emb_1' .. 'emb_2' \(2 columns\)"),
        ("f", ["f", "f0"], "beside 'f0'"),
    ],
)
def test_one_column_of_many_is_refused(name: str, names: list[str], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        refuse_one_of_many(name, names)


def test_a_column_without_siblings_may_be_audited_alone() -> None:
    refuse_one_of_many("score", ["score", "age", "emb_0", "emb_1"])
    refuse_one_of_many("score_1", ["score_1", "age"])
