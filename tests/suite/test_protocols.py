from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from suite.protocols.disjoint import Disjoint
from suite.protocols.open_set import OpenSet
from suite.protocols.rolling import Rolling
from suite.protocols.static import Static
from suite.protocols.unseen import Unseen

WINDOWS = ("train", "validation", "test")
START = datetime(2020, 1, 1, tzinfo=UTC)


def table(counts: dict[int, tuple[int, int, int]], held_out: set[int] = frozenset()):
    """Each user's number of events in train, validation and test, one an hour, ids in order."""
    rows = [
        {
            "user_id": user,
            "window": window,
            "time": START + timedelta(days=7 * place, hours=k),
            "item_id": 100 * user + 10 * place + k,
            "session_id": 10 * place + k // 2,
            "trained": user not in held_out,
        }
        for user, numbers in counts.items()
        for place, (window, number) in enumerate(zip(WINDOWS, numbers, strict=True))
        for k in range(number)
    ]
    return pl.DataFrame(rows).with_row_index("event_id").cast({"event_id": pl.Int64})


def roles(cut: pl.DataFrame, role: str) -> dict[int, list[int]]:
    grouped = cut.filter(pl.col("role") == role).group_by("user_id").agg("event_id").sort("user_id")
    return dict(grouped.iter_rows())


FOUR_USERS = {1: (4, 0, 4), 2: (4, 9, 3), 3: (3, 9, 5), 4: (5, 2, 4)}
# Events 0-7 are user 1's, 8-23 user 2's, 24-40 user 3's, 41-51 user 4's.


def test_rolling_links_train_to_test_of_users_with_four_events_in_both():
    cut = Rolling().cut(table(FOUR_USERS))
    assert roles(cut, "gallery") == {1: [0, 1, 2, 3], 4: [41, 42, 43, 44, 45]}
    assert roles(cut, "probe") == {1: [4, 5, 6, 7], 4: [48, 49, 50, 51]}


def test_rolling_probes_of_validation_come_from_the_same_users():
    cut = Rolling(probes="validation").cut(table(FOUR_USERS))
    assert roles(cut, "gallery") == {1: [0, 1, 2, 3], 4: [41, 42, 43, 44, 45]}
    assert roles(cut, "probe") == {4: [46, 47]}


def test_static_splits_the_test_events_of_the_same_users():
    cut = Static().cut(table(FOUR_USERS))
    assert sorted(cut["event_id"]) == [4, 5, 6, 7, 48, 49, 50, 51]
    assert {user: len(events) for user, events in roles(cut, "gallery").items()} == {1: 2, 4: 2}


def test_the_larger_half_of_an_odd_number_is_probes():
    cut = Static().cut(table({1: (4, 0, 5), 2: (4, 0, 7)}))
    assert {user: len(events) for user, events in roles(cut, "gallery").items()} == {1: 2, 2: 3}
    assert {user: len(events) for user, events in roles(cut, "probe").items()} == {1: 3, 2: 4}


def test_statics_permutation_is_keyed_by_42_and_the_user():
    cut = Static().cut(table({3: (4, 0, 6), 8: (4, 0, 6)}))
    for user, first in ((3, 4), (8, 14)):
        bits = np.random.PCG64(np.random.SeedSequence([42, user]))
        order = np.random.Generator(bits).permutation(6)
        assert roles(cut, "gallery")[user] == sorted(first + order[:3])
    # Frozen: another stream of random numbers would silently be another protocol.
    assert roles(cut, "gallery") == {3: [5, 6, 7], 8: [15, 16, 19]}


def test_a_users_split_does_not_depend_on_the_other_users():
    alone = Static().cut(table({8: (4, 0, 6)}))
    among = Static().cut(table({3: (4, 0, 6), 8: (4, 0, 6), 9: (9, 9, 9)}))
    shift = 4 + 6
    assert [e + shift for e in roles(alone, "gallery")[8]] == roles(among, "gallery")[8]


def test_static_sorts_by_time_and_then_by_event():
    events = table({1: (4, 0, 6)})
    same_time = events.with_columns(time=pl.lit(START))
    backwards = events.with_columns(time=pl.lit(START) - pl.duration(hours="event_id"))
    first = roles(Static().cut(events), "gallery")[1]
    assert roles(Static().cut(same_time), "gallery")[1] == first
    mirrored = sorted(4 + 9 - event for event in first)
    assert sorted(roles(Static().cut(backwards), "gallery")[1]) == mirrored


def test_the_documents_own_setting_takes_all_users_with_four_events_in_all_windows():
    cut = Static(windows=WINDOWS, users="all").cut(table(FOUR_USERS | {5: (1, 1, 1)}))
    sizes = {user: len(events) for user, events in roles(cut, "gallery").items()}
    assert sizes == {1: 4, 2: 8, 3: 8, 4: 5}


def test_disjoint_deals_the_same_events_as_static():
    assert Disjoint().cut(table(FOUR_USERS)).equals(Static().cut(table(FOUR_USERS)))
    assert Disjoint.splits_history
    assert not Static.splits_history


def test_excluded_are_probes_that_share_a_session_or_item_with_their_own_gallery():
    events = table({1: (4, 0, 4), 2: (4, 0, 4)})
    # Event 4 is user 1's in the session, and 13 user 2's on the item, of a gallery event.
    events = events.with_columns(
        session_id=pl.when(pl.col("event_id") == 4).then(0).otherwise("session_id"),
        item_id=pl.when(pl.col("event_id") == 13).then(200).otherwise("item_id"),
    )
    every = {1: [4, 5, 6, 7], 2: [12, 13, 14, 15]}
    for exclude, left in (
        ((), every),
        (("session",), every | {1: [5, 6, 7]}),
        (("item",), every | {2: [12, 14, 15]}),
        (("item", "session"), {1: [5, 6, 7], 2: [12, 14, 15]}),
    ):
        cut = Rolling(exclude=exclude).cut(events)
        assert roles(cut, "probe") == left
        assert roles(cut, "gallery") == {1: [0, 1, 2, 3], 2: [8, 9, 10, 11]}


def test_a_shared_session_of_different_users_excludes_nothing():
    events = table({1: (4, 0, 4), 2: (4, 0, 4)}).with_columns(
        session_id=pl.when(pl.col("window") == "train")
        .then("user_id")
        .otherwise(3 - pl.col("user_id"))
    )
    assert Rolling(exclude=("session",)).cut(events).equals(Rolling().cut(events))


def test_unknown_sessions_exclude_nothing():
    events = table(FOUR_USERS).with_columns(session_id=pl.lit(None, pl.Int64))
    assert Rolling(exclude=("session",)).cut(events).equals(Rolling().cut(events))


def test_excluding_every_probe_is_refused():
    events = table(FOUR_USERS).with_columns(session_id=pl.lit(0))
    with pytest.raises(
        ValueError, match="protocol rolling: no probe is left after excluding session"
    ):
        Rolling(exclude=("session",)).cut(events)


def test_open_set_keeps_all_probes_and_forgets_a_share_of_the_users():
    events = table(dict.fromkeys(range(20), (4, 0, 4)))
    closed, opened = Rolling().cut(events), OpenSet(removed=0.3).cut(events)
    assert roles(opened, "probe") == roles(closed, "probe")
    known = roles(opened, "gallery")
    assert len(known) == 20 - 6
    assert known.items() <= roles(closed, "gallery").items()


@pytest.mark.parametrize("removed", [0.0, 1.0, -0.1])
def test_open_set_refuses_shares_that_leave_nothing_to_say(removed):
    with pytest.raises(ValueError, match=r"removed must be in \(0, 1\), found "):
        OpenSet(removed=removed)


def test_unseen_compares_equally_many_held_out_and_trained_users():
    counts = dict.fromkeys(range(20), (4, 0, 4))
    events = table(counts, held_out={2, 5, 11, 19})
    unseen, seen = Unseen().cut(events), Unseen(users="trained").cut(events)
    assert set(roles(unseen, "gallery")) == {2, 5, 11, 19}
    assert len(roles(seen, "gallery")) == 4
    assert not set(roles(seen, "gallery")) & {2, 5, 11, 19}
    for cut in (unseen, seen):
        assert roles(cut, "gallery").keys() == roles(cut, "probe").keys()


def test_unseen_says_when_nobody_is_held_out():
    with pytest.raises(ValueError, match="unseen: found 0 held-out and 2 trained users"):
        Unseen().cut(table(FOUR_USERS))


@pytest.mark.parametrize("protocol", [Static(), Rolling(), Disjoint(), OpenSet(), Unseen()])
def test_too_few_events_are_refused_with_what_was_found(protocol):
    with pytest.raises(
        ValueError,
        match=r"^protocol \w+: no user has 4 events in each of train, test; found at most 9",
    ) as refused:
        protocol.cut(table({1: (4, 0, 3), 2: (3, 9, 4)}))
    assert "\n" not in str(refused.value)


def test_static_says_which_windows_hold_too_little():
    with pytest.raises(ValueError, match="protocol static: no user has two events in validation"):
        Static(windows=("validation",)).cut(table({1: (4, 1, 4)}))


def test_a_single_event_of_another_window_cannot_be_split():
    cut = Static(windows=("validation",)).cut(table({1: (4, 1, 4), 2: (4, 2, 4), 3: (4, 0, 4)}))
    assert {user: len(events) for user, events in roles(cut, "gallery").items()} == {2: 1}
    assert {user: len(events) for user, events in roles(cut, "probe").items()} == {2: 1}


NUMBERS = st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 7))
COUNTS = st.dictionaries(st.integers(0, 50), NUMBERS, min_size=1, max_size=8)


@settings(deadline=None, max_examples=50)
@given(counts=COUNTS, seed=st.integers(0, 9))
def test_static_rolling_and_disjoint_have_the_same_users(counts, seed):
    common = {user for user, (train, _, test) in counts.items() if min(train, test) >= 4}
    assume(common)
    events = table(counts)
    shuffled = events.sample(fraction=1, shuffle=True, seed=seed)
    for protocol in (Static(), Rolling(), Disjoint()):
        cut = protocol.cut(events)
        assert set(roles(cut, "gallery")) == set(roles(cut, "probe")) == common
        assert cut["event_id"].is_unique().all()
        assert protocol.cut(shuffled).equals(cut)
    halves = roles(Static().cut(events), "gallery")
    assert {u: len(e) for u, e in halves.items()} == {u: counts[u][2] // 2 for u in common}
