from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.audit.split import Split, first_appearance, is_missing, split


def roles(found: Split, num_vectors: int) -> str:
    letters = np.full(num_vectors, "-")
    letters[found.gallery], letters[found.probe] = "g", "p"
    return "".join(letters)


def test_the_earlier_half_is_gallery_and_an_odd_vector_a_probe() -> None:
    user = np.array(["b", "a", "b", "b", "a", "c"])
    time = np.array([5, 1, 2, 9, 0, 3])
    found = split(user, time=time)
    assert roles(found, 6) == "ppgpg-"
    assert found.by == "time"
    assert (found.num_dropped, found.num_users_dropped) == (1, 1)


def test_rows_come_by_first_appearance_of_the_user_then_by_time() -> None:
    found = split(np.array([7, 3, 7, 3, 7, 7]), time=np.array([4, 1, 3, 2, 2, 1]))
    assert found.gallery.tolist() == [5, 4, 1]
    assert found.probe.tolist() == [2, 0, 3]


def test_equal_times_keep_the_order_they_came_in() -> None:
    found = split(np.array([0, 0, 0, 0, 1, 1]), time=np.zeros(6))
    assert roles(found, 6) == "ggppgp"


def test_datetimes_order_as_times() -> None:
    time = np.array(["2026-02-01", "2026-01-01", "2026-01-02", "2026-01-01"], "datetime64[us]")
    assert roles(split(np.array([0, 0, 1, 1]), time=time), 4) == "pgpg"


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=40),
    st.booleans(),
)
def test_halves_are_those_of_a_loop_over_users(
    vectors: list[tuple[int, int]], has_times: bool
) -> None:
    user, time = (np.array(column) for column in zip(*vectors, strict=True))
    of_user = defaultdict(list)
    for row, (owner, at) in enumerate(vectors):
        of_user[owner].append((at, row))
    halves = {owner: len(rows) // 2 for owner, rows in of_user.items()}
    if sum(half > 0 for half in halves.values()) < 2:
        with pytest.raises(ValueError, match="two users with two vectors each"):
            split(user, time=time if has_times else None)
        return
    found = split(user, time=time if has_times else None, seed=3)
    for owner, rows in of_user.items():
        held = [row for row in found.gallery.tolist() if user[row] == owner]
        named = [row for row in found.probe.tolist() if user[row] == owner]
        assert len(held) == halves[owner]
        assert len(named) == (len(rows) - halves[owner] if halves[owner] else 0)
        if has_times:
            ordered = [row for _, row in sorted(rows)]
            assert held == ordered[: len(held)]
            assert named == ordered[len(held) : len(held) + len(named)]
    assert found.num_users_dropped == sum(half == 0 for half in halves.values())
    assert found.num_dropped == sum(half == 0 for half in halves.values())


def test_a_random_split_depends_on_its_seed_alone_and_is_called_random() -> None:
    user = np.repeat(np.arange(20), 6)
    first, again, other = (split(user, seed=seed) for seed in (1, 1, 2))
    assert first.by == "random"
    assert roles(first, 120) == roles(again, 120) != roles(other, 120)


def test_each_vector_is_as_often_gallery_as_probe_in_random_splits() -> None:
    user = np.repeat(np.arange(2), 4)
    held = [np.bincount(split(user, seed=seed).gallery, minlength=8) for seed in range(400)]
    # 400 coins: 0.5 +- 5 standard deviations.
    assert np.abs(np.mean(held, axis=0) - 0.5).max() < 5 * 0.5 / 20


def test_given_roles_are_taken_and_absent_users_are_dropped() -> None:
    user = np.array([1, 2, 2, 3, 1, 1])
    role = np.array(["gallery", "gallery", "probe", "probe", "probe", "gallery"])
    found = split(user, role=role, time=np.array([9, 8, 7, 6, 5, 4]))
    assert roles(found, 6) == "ggp-pg"
    assert found.gallery.tolist() == [5, 0, 1]
    assert found.by == "role"
    assert (found.num_dropped, found.num_users_dropped) == (1, 1)


def test_probes_of_a_session_in_the_own_gallery_are_dropped_but_not_those_of_others() -> None:
    user = np.array([1, 1, 1, 1, 2, 2])
    session = np.array(["s", None, "s", None, "t", "s"], object)
    found = split(user, time=np.arange(6), session=session)
    assert roles(found, 6) == "gg-pgp"
    assert found.num_dropped == 1


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0, np.nan]),
        np.array(["2026-01-01", "NaT"], "datetime64[us]"),
        np.array(["a", None], object),
        np.array([1.0, float("nan")], object),
        np.array(["a", ""]),
        np.array(["a", " \t"], object),
        np.array([b"a", b" "], object),
    ],
)
def test_none_nan_nat_and_blank_text_are_missing(values: Any) -> None:
    assert is_missing(values).tolist() == [False, True]


def test_values_are_counted_in_the_order_they_appear() -> None:
    assert first_appearance(np.array(["x", "b", "x", "a"])).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"time": np.arange(3)}, r"time must be 4 values, got shape \(3,\)"),
        ({"time": np.array([0, 1, np.nan, 3])}, "time must not be missing, got nan in row 2"),
        ({"time": np.array(["9", "10", "8", "7"])}, "time must be .* datetimes, got '9' in row 0"),
        ({"time": np.array([9, "10", 8, 7], object)}, "datetimes, got '10' in row 1"),
        (
            {"time": np.array(["9", "", "8", "7"])},
            "time must not be missing, got blank text in row 1",
        ),
        ({"role": np.array(["gallery", "x", "probe", "y"])}, "role must be .* got 'x', 'y'$"),
        ({"role": np.array(list("abcdef")[:4])}, "got 'a', 'b', 'c', 'd'$"),
        ({"role": np.full(4, "probe")}, "the gallery is empty"),
        (
            {"role": np.array(["gallery", "probe", "probe", "probe"])},
            "found in the gallery: 1, their probes: 1",
        ),
        ({"role": np.full(4, "gallery")}, "found in the gallery: 2, their probes: 0"),
        ({"session": np.zeros(4), "time": np.arange(4)}, "session: every probe shares one"),
    ],
)
def test_columns_that_cannot_be_split_are_named(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(np.array([1, 1, 2, 2]), **columns)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (np.array(["a", None], object), "user_id must not be missing, got None in row 1"),
        (np.array(["a", "a", " ", "b"]), "user_id must not be missing, got blank text in row 2"),
        (np.array(["a", 1], object), "user_id must be values of one type"),
        (np.array([1, 1, 2, 3]), "two users with two vectors each, got 1 such users"),
    ],
)
def test_users_that_cannot_be_told_apart_are_named(user: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(user)
