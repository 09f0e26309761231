"""Micro-aggregation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.certify import bound
from attacks.classifier import Classifier
from attacks.cosine import Cosine
from attacks.defenses.averaged import Averaged
from attacks.gallery import Released
from attacks.lda import Lda
from tests.planted import lift, positions, world


def released_of(counts, seed, num_windows=3):
    rng = np.random.default_rng(seed)
    user_row = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = rng.normal(size=(len(user_row), 3)).astype(np.float32)
    window = np.array(["a", "b", "c"])[rng.integers(0, num_windows, len(user_row))]
    return Released(vectors, user_row, window=window)


def applied(given, **strength):
    return Averaged(**strength).apply(given, np.random.default_rng(0))


@given(
    counts=st.lists(st.integers(1, 6), min_size=4, max_size=30),
    k=st.integers(2, 4),
    num_windows=st.integers(1, 3),
    seed=st.integers(0, 50),
)
@settings(deadline=None)
def test_every_vector_is_the_mean_of_at_least_k_users(counts, k, num_windows, seed):
    given = released_of(counts, seed, num_windows)
    # Without windows the same groups come out, as users who share a vector.
    whole = applied(replace(given, window=None), k=k, regroup=False)
    group = np.unique(whole, axis=0, return_inverse=True)[1]

    def mean_of(users, there):
        own = [given.vectors[there & (given.user_row == user)] for user in users]
        return np.mean([vectors.mean(axis=0, dtype=np.float64) for vectors in own], axis=0)

    for row, found in enumerate(applied(given, k=k, regroup=False)):
        members, there = group == group[row], given.window == given.window[row]
        users, present = (np.unique(given.user_row[m]) for m in (members, members & there))
        assert len(users) >= k
        np.testing.assert_allclose(whole[row], mean_of(users, members), atol=1e-5)
        expected = mean_of(present, there) if len(present) >= k else whole[row]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_in_every_window_all_of_a_user_is_one_vector_and_k_users_share_it():
    rng = np.random.default_rng(0)
    user_row = np.tile(np.arange(60), 8)
    window = np.repeat(["train", "test"], 240)
    given = Released(rng.normal(size=(480, 4)).astype(np.float32), user_row, window=window)
    for regroup in (False, True):
        found = applied(given, k=7, regroup=regroup)
        for name in ("train", "test"):
            rows = np.flatnonzero(window == name)
            _, cell = np.unique(found[rows], axis=0, return_inverse=True)
            for number in range(cell.max() + 1):
                mine = rows[cell == number]
                users = np.unique(user_row[mine])
                assert len(users) >= 7
                assert len(mine) == 4 * len(users)
                np.testing.assert_allclose(
                    found[mine[0]], given.vectors[mine].mean(axis=0), atol=1e-5
                )


def test_groups_are_kept_over_windows_unless_regrouped():
    rng = np.random.default_rng(0)
    given = Released(
        rng.normal(size=(400, 4)).astype(np.float32),
        np.tile(np.arange(200), 2),
        window=np.repeat(["train", "test"], 200),
    )

    def partners(found):
        first, second = (np.unique(f, axis=0, return_inverse=True)[1] for f in np.split(found, 2))
        pairs = first[:, None] == first
        return pairs, second[:, None] == second

    kept, anew = (partners(applied(given, k=5, regroup=r)) for r in (False, True))
    np.testing.assert_array_equal(*kept)
    assert (anew[0] != anew[1]).any()


def test_users_who_are_too_few_in_a_window_get_the_mean_of_the_whole_group():
    given = Released(
        np.float32([[0], [1], [2], [10], [4]]),
        np.array([0, 1, 2, 0, 1]),
        window=np.array(["a", "a", "a", "b", "b"]),
    )
    found = applied(given, k=3, regroup=False)[:, 0]

    # By hand: in a all three are there, (0 + 1 + 2) / 3; in b two: (5 + 2.5 + 2) / 3.
    np.testing.assert_allclose(found, [1, 1, 1, 9.5 / 3, 9.5 / 3], rtol=1e-6)


def test_groups_that_are_kept_link_windows_of_vectors_that_say_nothing():
    rng = np.random.default_rng(0)
    planted = world(np.zeros((200, 8)), 1.0)
    both = Released(
        rng.normal(size=(1600, 8)).astype(np.float32),
        np.concatenate([planted.user_row, planted.true_row]),
        window=np.repeat(["train", "test"], 800),
    )
    lifts = {}
    for regroup in (False, True):
        gallery, probe = np.split(applied(both, k=10, regroup=regroup), 2)
        lifts[regroup] = lift(Cosine(), replace(planted, vectors=gallery, probe=probe))

    # Groups were formed by the vectors of both windows, so that their means resemble each other.
    assert lifts[False] > 2
    assert lifts[True] < 2


def test_users_weigh_the_same_however_many_events_they_have():
    given = Released(np.float32([[0], [0], [0], [1]]), np.array([0, 0, 0, 1]))

    np.testing.assert_array_equal(applied(given, k=2)[:, 0], 0.5)


@pytest.mark.parametrize("attack", [Cosine, Lda, Classifier])
def test_no_attacker_is_right_more_often_than_one_in_k(attack):
    planted = world(positions(200), 0.1)
    both = Released(
        np.vstack([planted.vectors, planted.probe]),
        np.concatenate([planted.user_row, planted.true_row]),
        window=np.repeat(["train", "test"], [len(planted.vectors), len(planted.probe)]),
    )
    for k in (2, 10):
        for regroup in (False, True):
            certificate = Averaged(k=k, regroup=regroup).certificate()
            shown = applied(both, k=k, regroup=regroup)
            gallery, probe = np.split(shown, [len(planted.vectors)])
            found = lift(attack(), replace(planted, vectors=gallery, probe=probe)) / 200
            assert found <= bound(certificate, 200) + 1e-9
            assert bound(certificate, 200, releases=9) == (1 if regroup else 1 / k)
    assert lift(attack(), planted) > 190


def test_all_users_in_one_group_are_chance():
    planted = world(positions(60), 0.1)
    given = Released(planted.vectors, planted.user_row)
    shown = replace(planted, vectors=applied(given, k=60), probe=applied(given, k=60))

    assert lift(Cosine(), shown) == pytest.approx(1)


def test_bad_input_is_refused_in_one_line():
    given = released_of([2] * 6, 0, num_windows=1)
    with pytest.raises(ValueError, match=r"^averaged: k: found 1, allowed: at least 2$"):
        Averaged(k=1)
    with pytest.raises(ValueError, match=r"^averaged: k: found 7 and 6 users, allowed: at most"):
        applied(given, k=7)
    two = replace(given, window=np.where(given.user_row < 5, "train", "test"))
    with pytest.raises(ValueError, match=r"^averaged: k: found 2 and 1 users, allowed: at most"):
        applied(two, k=2, regroup=True)
