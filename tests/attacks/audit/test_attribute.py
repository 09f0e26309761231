from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from attacks.audit import attribute
from attacks.audit.attribute import infer

Rows = NDArray[np.int64]


def planted(
    num_users: int, gap: float, *, classes: int = 2, seed: int = 0
) -> tuple[NDArray[np.float32], Rows, Rows]:
    """Two vectors a user; the class moves their mean by ``gap`` standard deviations."""
    rng = np.random.default_rng(seed)
    chances = np.array([0.7, *[0.3 / (classes - 1)] * (classes - 1)])
    kind = rng.choice(classes, num_users, p=chances)
    user = rng.permutation(np.repeat(np.arange(num_users), 2))
    own = rng.standard_normal((num_users, 4))
    own[:, 0] += gap * kind
    apart = rng.standard_normal((num_users, 4))
    sign = np.empty(len(user))
    for one in range(num_users):
        sign[user == one] = (-1, 1)
    return (own[user] + sign[:, None] * apart[user]).astype(np.float32), user, kind[user]


def test_inference_comes_near_the_bayes_rate_and_its_interval_holds_it() -> None:
    gap = 2.0
    found = infer("kind", *planted(3000, gap))
    # Balanced, the best threshold lies halfway; for accuracy, where 0.7 and 0.3 densities meet.
    assert found.balanced_accuracy_low < norm.cdf(gap / 2) < found.balanced_accuracy_high + 0.01
    cut = gap / 2 + np.log(0.7 / 0.3) / gap
    most = 0.7 * norm.cdf(cut) + 0.3 * norm.sf(cut - gap)
    assert found.accuracy_low < most < found.accuracy_high + 0.01
    assert found.over_chance == pytest.approx(found.balanced_accuracy - 0.5)
    assert found.over_majority == pytest.approx(found.accuracy - found.majority)
    assert found.over_majority_low == pytest.approx(found.accuracy_low - found.majority)
    assert (found.num_users, found.num_classes, found.num_users_left_out) == (3000, 2, 0)
    assert found.majority_class == "0"


def test_what_vectors_do_not_say_is_not_inferred() -> None:
    covered = 0
    for seed in range(3):
        found = infer("kind", *planted(100, 0.0, classes=3, seed=seed))
        covered += found.over_chance_low <= 0 <= found.over_chance_high
        assert found.chance == pytest.approx(1 / 3)
    assert covered >= 2


def test_intervals_of_one_rate_are_wilsons() -> None:
    right = np.array([True] * 7 + [False] * 3 + [True] * 2 + [False] * 8)
    truth = np.repeat([0, 1], 10)
    value, low, high = attribute._rate(right, truth, np.array([0.5, 0.5]))
    ends = [binomtest(hits, 10).proportion_ci(method="wilson") for hits in (7, 2)]
    assert value == pytest.approx(0.45)
    assert low == pytest.approx(0.45 - np.hypot(0.7 - ends[0].low, 0.2 - ends[1].low) / 2)
    assert high == pytest.approx(0.45 + np.hypot(ends[0].high - 0.7, ends[1].high - 0.2) / 2)
    (_, low, high) = attribute._rate(right[:10], truth[:10], np.ones(1))
    assert (low, high) == pytest.approx((ends[0].low, ends[0].high))


def test_users_without_the_attribute_and_small_classes_are_left_out() -> None:
    vector, user, kind = planted(200, 3.0)
    values = np.array(["man", "woman"], object)[kind]
    values[user < 20] = None
    values[(user >= 20) & (user < 25)] = "rare"
    values[user == 30] = " "
    found = infer("gender", vector, user, values)
    assert (found.num_users, found.num_users_left_out, found.num_classes) == (174, 26, 2)
    assert found.majority_class == "man"
    # One of a user's vectors without it is nothing.
    values[np.flatnonzero(user == 40)[0]] = None
    assert infer("gender", vector, user, values).num_users == 174


def test_many_users_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribute, "MOST_USERS", 150)
    found = infer("kind", *planted(400, 3.0))
    assert (found.num_users, found.num_users_left_out) == (150, 250)
    assert found.balanced_accuracy_low > 0.8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda kind: np.zeros(len(kind), int), "found 1 classes with 10 users or more"),
        (lambda kind: np.full(len(kind), None), "found 0 classes with 10 users or more"),
        (lambda kind: np.arange(len(kind)), "must be the same for all vectors of a user, got '"),
        (lambda kind: kind[:-1], "attribute kind must be 200 values, got shape"),
        (lambda kind: np.array([1, "a"] * (len(kind) // 2), object), "must be values of one type"),
    ],
    ids=["one class", "missing", "differing", "short", "mixed"],
)
def test_an_attribute_that_cannot_be_inferred_is_refused(values: Any, message: str) -> None:
    vector, user, kind = planted(100, 1.0)
    with pytest.raises(ValueError, match=message):
        infer("kind", vector, user, values(kind))
