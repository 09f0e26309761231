from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from attacks.audit import Audit, audit
from attacks.base import Attack
from attacks.cosine import Cosine
from attacks.euclidean import Euclidean


def people(
    num_users: int, num_each: int, noise: float, *, seed: int = 0, dimensions: int = 6
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Users with a vector of their own and noise, in a random order with random times."""
    rng = np.random.default_rng(seed)
    user = rng.permutation(np.repeat(np.arange(num_users), num_each))
    own = rng.standard_normal((num_users, dimensions))
    vector = own[user] + noise * rng.standard_normal((len(user), dimensions))
    return np.array([f"user {one}" for one in user]), vector, rng.random(len(user))


def brute_force(
    user_id: NDArray[Any], vector: NDArray[Any], time: NDArray[Any], *, is_cosine: bool
) -> dict[str, Any]:
    """Every figure without an interval, user by user and rank by rank, in float64."""
    vector = vector.astype(np.float32).astype(float)
    gallery, probes = {}, []
    for user in sorted(set(user_id)):
        rows = np.flatnonzero(user_id == user)
        rows = rows[np.argsort(time[rows])]
        gallery[user] = vector[rows[: len(rows) // 2]].mean(axis=0).astype(np.float32).astype(float)
        probes += [(user, vector[row]) for row in rows[len(rows) // 2 :]]
    names, known = list(gallery), np.array(list(gallery.values()))
    ranks = []
    for user, probe in probes:
        if is_cosine:
            score = known @ probe / np.linalg.norm(known, axis=1)
        else:
            score = -((known - probe) ** 2).sum(axis=1)
        order = [names[i] for i in np.argsort(-score)]
        ranks.append(order.index(user) + 1)
    rank, user, n = np.array(ranks), np.array([user for user, _ in probes]), len(names)
    own = {name: (rank[user == name] == 1).mean() for name in names}
    return {
        **{f"top{k}": (rank <= k).mean() if k <= n else None for k in (1, 5, 10, 20)},
        "mrr": (1 / rank).mean(),
        "mean_rank": rank.mean(),
        "median_rank": np.median(rank),
        "bits": math.log2(n) - np.log2(rank).mean(),
        "bits_chance": math.log2(n) - np.log2(np.arange(1, n + 1)).mean(),
        "chance": 1 / n,
        "lift": (rank == 1).mean() * n,
        "num_gallery": n,
        "num_probes": len(rank),
        "num_dropped": 0,
        "num_users": n,
        "num_users_always": sum(rate == 1 for rate in own.values()),
        "num_users_never": sum(rate == 0 for rate in own.values()),
        "per_user_top1": np.mean(list(own.values())),
        "share_always": np.mean([rate == 1 for rate in own.values()]),
        "share_never": np.mean([rate == 0 for rate in own.values()]),
        "rank": rank,
        "user": user,
    }


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 25), st.integers(2, 7), st.floats(0.1, 3), st.integers(0, 99))
def test_every_figure_is_that_of_a_loop_over_users(
    num_users: int, num_each: int, noise: float, seed: int
) -> None:
    user, vector, time = people(num_users, num_each, noise, seed=seed)
    found = audit(user, vector, time=time, replicates=2)
    for result, is_cosine in zip(found.attacks, (True, False), strict=True):
        expected = brute_force(user, vector, time, is_cosine=is_cosine)
        for name, value in result.figures.items():
            if not name.endswith(("_low", "_high")):
                assert value == pytest.approx(expected[name]), name
        n = expected["num_gallery"]
        sizes, top1 = zip(*result.curve, strict=True)
        assert sizes == tuple(s for s in (1, 2, 5, 10, 20, n) if s < n or s == n)[: len(sizes)]
        # None of s - 1 others, drawn from n - 1, is among the rank - 1 ahead.
        ahead = [
            np.mean([math.comb(n - r, s - 1) / math.comb(n - 1, s - 1) for r in expected["rank"]])
            for s in sizes
        ]
        np.testing.assert_allclose(top1, ahead)


def test_every_interval_is_about_that_of_users_resampled_by_a_loop() -> None:
    user, vector, time = people(100, 4, 0.5)
    (result,) = audit(user, vector, time=time, attacks={"cosine": Cosine()}).attacks
    expected = brute_force(user, vector, time, is_cosine=True)
    hit, names = expected["rank"] == 1, np.unique(expected["user"])
    of_user = [np.flatnonzero(expected["user"] == name) for name in names]
    rng = np.random.default_rng(5)
    drawn: dict[str, list[float]] = {
        name: []
        for name in ("top1", "mrr", "bits", "lift", "per_user_top1", "share_always", "share_never")
    }
    for _ in range(4000):
        chosen = [of_user[i] for i in rng.integers(100, size=100)]
        rows = np.concatenate(chosen)
        rates = np.array([hit[own].mean() for own in chosen])
        drawn["top1"].append(hit[rows].mean())
        drawn["lift"].append(100 * hit[rows].mean())
        drawn["mrr"].append((1 / expected["rank"][rows]).mean())
        drawn["bits"].append(math.log2(100) - np.log2(expected["rank"][rows]).mean())
        drawn["per_user_top1"].append(rates.mean())
        drawn["share_always"].append((rates == 1).mean())
        drawn["share_never"].append((rates == 0).mean())
    for name, values in drawn.items():
        low, high = np.quantile(values, [0.025, 0.975])
        bounds = result.figures[f"{name}_low"], result.figures[f"{name}_high"]
        assert bounds == pytest.approx((low, high), abs=0.25 * (high - low)), name


def test_the_per_user_table_names_users_and_their_own_rates() -> None:
    user, vector, time = people(20, 6, 1.0)
    found = audit(user, vector, time=time, replicates=2).attacks[0].users
    expected = brute_force(user, vector, time, is_cosine=True)
    assert sorted(found.user) == sorted(set(user))
    for name, rate, rank in zip(found.user, found.top1, found.mean_rank, strict=True):
        own = expected["rank"][expected["user"] == name]
        assert rate == (own == 1).mean()
        assert rank == pytest.approx(own.mean())


def test_users_numbered_otherwise_have_the_same_figures() -> None:
    user, vector, _ = people(15, 5, 1.0)
    number = np.unique(user, return_inverse=True)[1]
    other = number.max() - number
    first, second = (audit(one, vector, replicates=50, seed=3) for one in (user, other))
    assert first.to_dict() == second.to_dict()


def test_constant_vectors_give_chance_and_say_that_they_identify_nobody() -> None:
    found = audit(np.arange(40) % 8, np.ones((40, 3)), replicates=50, time=np.arange(40))
    for result in found.attacks:
        assert result.figures["top1"] == pytest.approx(1 / 8)
        assert result.figures["lift"] == pytest.approx(1)
        assert result.figures["top10"] is None
        assert result.figures["top20"] is None
    assert (found.num_equal_classes, found.num_users_equal, found.largest_equal_class) == (1, 8, 8)
    text = " ".join(found.words)
    assert "All users have the same vector, which identifies no one." in text
    assert "not distinguishable from chance, 12.5 %" in text
    assert "by construction" not in text


def test_one_vector_per_user_is_an_identifier_by_construction() -> None:
    own = np.random.default_rng(0).standard_normal((12, 4))
    user = np.repeat(np.arange(12), 3)
    found = audit(user, own[user], replicates=50)
    assert found.num_users_identifier == found.num_users_constant == found.num_users_repeated == 12
    assert "All vectors of a user are equal: they are identifiers by construction." in found.words
    assert found.attacks[0].figures["top1"] == 1


def test_only_a_constant_vector_that_nobody_else_has_is_an_identifier() -> None:
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(8), 4)
    vector = rng.standard_normal((32, 3))
    vector[user <= 2] = 1.0  # constant, but of three users
    vector[user == 3] = 2.0  # constant, and once another user's
    vector[-1] = 2.0
    vector[user == 4] = 3.0  # constant and nobody else's
    found = audit(user, vector, replicates=20)
    assert (found.num_users_constant, found.num_users_identifier) == (5, 1)
    text = " ".join(found.words)
    assert "For 1 of 8 users with two or more vectors the vector is always the same and no" in text
    assert "For 4 of 8 users with two or more vectors the vector is always the same, but" in text
    only_shared = audit(user, np.where((user == 4)[:, None], 1.0, vector), replicates=20)
    assert "by construction" not in " ".join(only_shared.words)


def test_users_who_share_a_vector_are_counted_once_per_group() -> None:
    own = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0.0, -1], [-0.0, -1], [-1, 0]])
    user = np.repeat(np.arange(8), 2)
    found = audit(user, own[user], replicates=20)
    assert (found.num_equal_classes, found.num_users_equal, found.largest_equal_class) == (3, 7, 3)
    assert found.attacks[0].figures["top1"] == pytest.approx((2 / 2 + 3 / 3 + 2 / 2 + 1) / 8)
    assert any("7 users share their gallery vector exactly with" in one for one in found.words)


def test_a_random_split_is_called_optimistic_and_one_by_time_is_not() -> None:
    user, vector, time = people(10, 4, 0.5)
    assert "optimistic for the attacker" in audit(user, vector, replicates=20).words[1]
    timed = audit(user, vector, time=time, replicates=20)
    assert "optimistic" not in " ".join(timed.words)
    assert "one earlier vector of each of 10 users" in " ".join(timed.words)


def test_the_sentence_gives_rate_interval_and_lift() -> None:
    user, vector, time = people(400, 6, 0.5)
    found = audit(user, vector, time=time, replicates=200)
    figure = found.attacks[0].figures
    rate, low, high = (100 * float(figure[name] or 0) for name in ("top1", "top1_low", "top1_high"))
    assert 10 < rate < 90
    assert (
        f"cosine: an attacker with one earlier vector of each of 400 users identifies the right "
        f"user {rate:.1f} % of the time ({low:.1f}-{high:.1f}), "
        f"{figure['lift']:.0f} times better than chance." in found.words
    )


class Doubled(Attack):
    """Sees two probes of one person at a time and leaves an odd one out."""

    def pool(self, user_row: NDArray[np.int64]) -> NDArray[np.int64]:
        count = np.bincount(user_row)
        place = np.arange(len(user_row)) - (np.cumsum(count) - count)[user_row]
        group: NDArray[np.int64] = user_row * len(user_row) + place // 2
        group[(place == count[user_row] - 1) & (place % 2 == 0)] = -1
        return group


def test_probes_that_an_attack_pools_are_averaged_in_time_order() -> None:
    user, vector, time = people(30, 10, 2.0)
    doubled = audit(user, vector, time=time, attacks={"doubled": Doubled()}, replicates=20)
    assert doubled.attacks[0].figures["num_probes"] == 30 * 2
    means, owners, times, roles = [], [], [], []
    for name in set(user):
        rows = np.flatnonzero(user == name)
        rows = rows[np.argsort(time[rows])]
        groups = [rows[:5], rows[5:7], rows[7:9]]
        means += [vector[group].astype(np.float32).mean(axis=0) for group in groups]
        owners += [name] * 3
        times += [0, 1, 2]
        roles += ["gallery", "probe", "probe"]
    by_hand = audit(
        np.array(owners),
        np.array(means),
        time=np.array(times),
        role=np.array(roles),
        attacks={"cosine": Cosine()},
        replicates=20,
    )
    for name in ("top1", "mean_rank", "per_user_top1"):
        assert doubled.attacks[0].figures[name] == pytest.approx(by_hand.attacks[0].figures[name])


def test_differences_are_corrected_over_all_pairs_of_attacks_on_the_same_probes() -> None:
    user, vector, time = people(40, 8, 1.0)
    attacks = {"cosine": Cosine(), "euclidean": Euclidean(), "again": Cosine(), "two": Doubled()}
    found = audit(user, vector, time=time, attacks=attacks, replicates=99)
    pairs = {(one.attack, one.other): one for one in found.differences}
    assert list(pairs) == [("cosine", "euclidean"), ("cosine", "again"), ("euclidean", "again")]
    top1 = [result.figures["top1"] for result in found.attacks]
    assert pairs["cosine", "euclidean"].difference == pytest.approx(
        float(top1[0] or 0) - float(top1[1] or 0)
    )
    assert pairs["cosine", "again"].p == 1
    assert all(one.p <= one.p_holm <= 1 for one in found.differences)


def test_forecasts_are_printed_or_their_absence_is_explained() -> None:
    user, vector, time = people(200, 6, 1.0)
    found = audit(user, vector, time=time, forecast_to=[1000, 5000], replicates=50)
    assert [one.num_gallery for one in found.attacks[0].forecasts or ()] == [1000, 5000]
    assert sum("among 5,000 such users it would be" in one for one in found.words) == 2
    few = audit(user, vector * 0, time=time, forecast_to=[1000], replicates=50)
    assert few.attacks[0].forecasts is not None
    known = audit(user, vector, attacks={"cosine": Cosine()}, forecast_to=[999], replicates=50)
    alike = audit(
        user, np.unique(user, return_inverse=True)[1][:, None] ** [1, 2], forecast_to=[999]
    )
    assert known.attacks[0].forecasts is not None
    assert alike.attacks[1].forecasts is None
    assert any("no forecast: fewer than 10 users" in one for one in alike.words)
    far = audit(user, vector, time=time, forecast_to=[1_000_000], replicates=50)
    assert [one.top1 for one in far.attacks[0].forecasts or ()] == [None]
    refusal = "no forecast: 1,000,000 users are 5,000 times the gallery's 200, allowed: up to"
    assert sum(refusal in one for one in far.words) == 2
    assert json.dumps(far.to_dict(), allow_nan=False)


def test_everything_but_the_users_is_plain_data() -> None:
    user, vector, time = people(60, 6, 1.0)
    found: Audit = audit(user, vector, time=time, forecast_to=[500], replicates=50)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain == found.to_dict()
    assert plain["attacks"][0]["attack"] == "cosine"
    assert plain["attacks"][0]["curve"][-1]["num_gallery"] == 60
    assert plain["split_by"] == "time"
    assert "users" not in plain["attacks"][0]


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.full((4, 2), np.nan), "vector must be finite as float32, got NaN or infinity in row 0"),
        (np.diag([1.0, 1, 1e300, 1]), "NaN or infinity in row 2"),
        (np.zeros((3, 2)), "a row for each of the 4 user ids, got 3"),
        (np.zeros(4), r"a matrix of numbers, got float64 of shape \(4,\)"),
        (np.full((4, 2), "x"), "a matrix of numbers, got <U1"),
        (np.zeros((4, 0)), "a matrix of numbers"),
    ],
)
def test_vectors_that_cannot_be_audited_are_refused(vector: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audit(np.array([0, 0, 1, 1]), vector)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 99), st.sampled_from([1e6, 1e8, -1e8, 1e9]), st.booleans())
def test_a_large_offset_changes_no_figure(seed: int, size: float, is_constant: bool) -> None:
    user, vector, time = people(30, 4, 0.5, seed=seed)
    # On a grid that float64 holds beside the offset, so that the two inputs differ in it alone.
    vector = np.rint(vector * 2**20) / 2**20
    if is_constant:
        vector[:, 0] = 0.0
    plain = audit(user, vector, time=time, replicates=2)
    moved = audit(user, vector + size, time=time, replicates=2)
    assert float(plain.attacks[0].figures["top1"] or 0) > 0.2
    assert [one.figures for one in moved.attacks] == [one.figures for one in plain.attacks]
    assert moved.num_vectors_merged == plain.num_vectors_merged == plain.largest_offset == 0
    assert moved.largest_offset == abs(size)
    assert any(f"Offsets of up to {abs(size):g}" in one for one in moved.words)


@pytest.mark.parametrize("is_alone", [True, False], ids=["one value", "all of a user"])
def test_an_outlier_hides_nobody_else(is_alone: bool) -> None:
    user, vector, time = people(60, 4, 0.05)
    assert audit(user, vector, time=time, replicates=2).attacks[1].figures["top1"] == 1
    rows = np.flatnonzero(user == "user 7")
    rows = rows[np.argsort(time[rows])]
    if is_alone:
        vector[rows[0], 0] = 1e9
    else:
        vector[rows] *= 1e9
    for result in audit(user, vector, time=time, replicates=20).attacks:
        others = result.users.user != "user 7"
        assert result.users.top1[others].min() == 1, result.attack
        assert float(result.figures["top1_low"] or 0) > 0.9


def test_probes_tied_with_users_of_other_vectors_are_counted_per_attack() -> None:
    # To the cosine, users 0 and 1 are the same, and so are 2 and 3; 4 and 5 have one vector.
    own = np.array([[1.0, 0], [2, 0], [1, 1], [3, 3], [0, 1], [0, 1]])
    user = np.repeat(np.arange(6), 4)
    found = audit(user, own[user], replicates=2)
    assert [one.num_tied_apart for one in found.attacks] == [8, 0]
    text = "for 8 of 12 probes a user with another vector ties with the right one"
    assert [text in one for one in found.words if "probes a user" in one] == [True]
    assert [one["num_tied_apart"] for one in found.to_dict()["attacks"]] == [8, 0]


def test_vectors_that_rounding_makes_equal_are_counted() -> None:
    user, vector, time = people(20, 4, 0.5)
    vector = np.repeat(vector[::2], 2, axis=0)
    exact = audit(user, vector, time=time, replicates=2)
    assert exact.num_vectors_merged == 0
    vector[1:20:2] *= 1 + 2.0**-40
    merged = audit(user, vector, time=time, replicates=2)
    assert merged.num_vectors_merged == 20
    assert any(
        "made 20 vectors equal to others that differ in the input" in one for one in merged.words
    )
    assert [one.figures for one in merged.attacks] == [one.figures for one in exact.attacks]


@pytest.mark.slow
def test_intervals_cover_the_rate_of_all_users() -> None:
    # Who is probed varies, the gallery stays; the rate of all is about one third.
    rng = np.random.default_rng(3)
    own = rng.standard_normal((4000, 8))
    vectors = own[:, None] + 0.7 * rng.standard_normal((4000, 4, 8))
    everyone = audit(
        np.arange(4000).repeat(5),
        np.concatenate([own[:, None], vectors], axis=1).reshape(-1, 8),
        role=np.tile(["gallery", *["probe"] * 4], 4000),
        attacks={"cosine": Cosine()},
        replicates=2,
    )
    users = everyone.attacks[0].users
    rate = dict(zip(users.user.tolist(), users.top1.tolist(), strict=True))
    truth = np.mean(list(rate.values()))
    assert 0.1 < truth < 0.9
    covered = []
    for _ in range(400):
        probed = rng.choice(4000, 400, replace=False)
        found = audit(
            np.concatenate([np.arange(4000), probed.repeat(4)]),
            np.concatenate([own, vectors[probed].reshape(-1, 8)]),
            role=np.array(["gallery"] * 4000 + ["probe"] * 1600),
            attacks={"cosine": Cosine()},
            replicates=300,
        )
        figures = found.attacks[0].figures
        covered.append(float(figures["top1_low"] or 0) <= truth <= float(figures["top1_high"] or 0))
    assert 0.93 <= np.mean(covered) <= 0.97
