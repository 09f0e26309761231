from __future__ import annotations

import numpy as np
import pytest

from attacks.measures.risk import by_activity, decile, user_risk
from attacks.ranks.exact import Ranks


def test_a_hand_worked_table_of_three_users() -> None:
    user = np.array(["c", "a", "a", "b", "c", "c"])
    greater = np.array([0, 0, 0, 4, 1, 0], np.int32)
    equal = np.array([0, 0, 0, 0, 0, 1], np.int32)
    found = user_risk(Ranks(greater, equal), user)
    assert found.user.tolist() == ["a", "b", "c"]
    assert found.num_probes.tolist() == [2, 1, 3]
    assert found.top1.tolist() == [1.0, 0.0, 0.5]
    assert found.mean_rank.tolist() == [1.0, 5.0, 1.5]
    assert found.always.tolist() == [True, False, False]
    assert found.never.tolist() == [False, True, False]


def test_always_and_never_are_those_whose_every_credit_is_1_or_0() -> None:
    rng = np.random.default_rng(0)
    user, greater, equal = rng.integers(0, 60, 200), *rng.integers(0, 2, (2, 200)).astype(np.int32)
    found = user_risk(Ranks(greater, equal), user)
    credit = np.where(greater > 0, 0, 1 / (1 + equal))
    expected = [[(credit[user == u] == one).all() for u in found.user] for one in (1, 0)]
    assert [found.always.tolist(), found.never.tolist()] == expected
    assert any(expected[0])
    assert any(expected[1])


def test_distinct_activities_fall_into_ten_equal_deciles() -> None:
    activity = np.random.default_rng(0).permutation(50) + 3
    assert np.bincount(decile(activity))[1:].tolist() == [5] * 10
    assert decile(activity)[activity.argmax()] == 10


def test_users_of_equal_activity_are_never_separated() -> None:
    assert decile(np.full(7, 4)).tolist() == [1] * 7
    assert decile(np.array([1, 1, 1, 1, 1, 9])).tolist() == [1] * 5 + [9]


def test_deciles_summarize_the_rows_of_their_users() -> None:
    user = np.arange(20).repeat(2)
    greater = np.where(user < 10, 1, 0).astype(np.int32)
    risk = user_risk(Ranks(greater, np.zeros(40, np.int32)), user)
    found = by_activity(risk, np.arange(20) + 1)
    assert [one.decile for one in found] == list(range(1, 11))
    assert [(one.least, one.most, one.num_users) for one in found[:2]] == [(1, 2, 2), (3, 4, 2)]
    assert [one.per_user_top1 for one in found] == [0.0] * 5 + [1.0] * 5
    assert [one.share_never for one in found] == [1.0] * 5 + [0.0] * 5
    assert sum(one.share_always * one.num_users for one in found) == pytest.approx(10)
