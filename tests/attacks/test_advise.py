from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attacks.advice.cost import cost
from attacks.advice.fitted import fitted_arrays
from attacks.advice.ladders import ladders
from attacks.advice.lift import quick, strongest
from attacks.advice.search import Search, Target, gallop
from attacks.advice.world import PARTS, World, prepared
from attacks.advise import advise
from attacks.audit import audit
from attacks.certify import bound
from attacks.cosine import Cosine
from attacks.defenses.averaged import Averaged
from attacks.defenses.base import Defense
from attacks.defenses.gaussian import Gaussian
from attacks.defenses.none import Undefended
from attacks.euclidean import Euclidean


def people(
    num_users: int = 90, num_each: int = 8, *, dimensions: int = 5, seed: int = 0
) -> dict[str, NDArray[Any]]:
    """Everybody has a position; a label reads the first axis, which says little about who it is."""
    rng = np.random.default_rng(seed)
    user = rng.permutation(np.repeat(np.arange(num_users), num_each))
    own = rng.standard_normal((num_users, dimensions))
    own[:, 0] = 0
    vector = own[user] + 0.3 * rng.standard_normal((len(user), dimensions))
    vector[:, 0] += rng.standard_normal(len(user))
    return {
        "user_id": np.array([f"user {one}" for one in user]),
        "vector": vector,
        "time": rng.random(len(user)),
        "label": vector[:, 0] + 0.3 * rng.standard_normal(len(user)) > 0,
    }


def world(data: dict[str, NDArray[Any]], *, labels: bool = False) -> World:
    known = {"label": data["label"]} if labels else {}
    return prepared(
        data["user_id"], data["vector"], known, time=data["time"], role=None, session=None, seed=0
    )


def test_users_of_one_part_are_in_no_other_and_all_are_in_the_gallery() -> None:
    data = people()
    found = world(data)
    of_user = {part: set(data["user_id"][found.rows(part, 10**6, 0)].tolist()) for part in PARTS}
    assert [len(of_user[part]) for part in PARTS] == [18, 36, 36]
    assert len(set.union(*of_user.values())) == 90 == found.num_gallery
    assert set(data["user_id"][found.probes("report", 10**6, 0)]) == of_user["report"]
    few = found.probes("choose", 7, 0)
    assert len(few) == 7 == len(set(few.tolist()) & set(found.probe.tolist()))


def test_the_lift_is_that_of_an_audit_of_what_is_released() -> None:
    data = people()
    found = world(data)
    attacks = {"cosine": Cosine(), "euclidean": Euclidean()}
    lift = strongest(found, Undefended(), found.probe, attacks, releases=1, seed=0)
    audited = audit(data["user_id"], data["vector"].astype(np.float32), time=data["time"])
    best = max(audited.attacks, key=lambda one: one.figures["lift_high"])
    expected = (*(best.figures[f"lift{end}"] for end in ("", "_low", "_high")), best.attack)
    assert lift[:4] == pytest.approx(expected)


def test_averaged_releases_are_attacked_as_less_noise() -> None:
    found = world(people())
    lifts = []
    for sigma, releases in ((0.8, 1), (0.8, 64), (0.1, 1)):
        defense = Gaussian(sigma_per_radius=sigma)
        defense.fit(found.released, np.random.default_rng(0))
        probe = found.probes("choose", 10**6, 0)
        lifts.append(strongest(found, defense, probe, quick(), releases=releases, seed=0).lift)
    assert lifts[0] < 0.5 * lifts[1]
    assert lifts[1] == pytest.approx(lifts[2], rel=0.2)


def test_costs_are_what_they_say() -> None:
    data = people(120)
    found = world(data, labels=True)
    true = found.released.vectors
    same = cost(found, true, "report", 0)
    assert (same.distortion, same.overlap) == (0, 1)
    assert same.auc["label"].low < same.auc["label"].auc < same.auc["label"].high
    assert same.worth == same.auc["label"].auc > 0.9
    rows = found.rows("report", 10**6, 0)
    moved = cost(found, true + np.float32(1), "report", 0)
    assert moved.distortion == pytest.approx(5 / true[rows].var(axis=0).sum(), rel=1e-4)
    assert moved.overlap == 1
    noise = np.random.default_rng(1).standard_normal(true.shape).astype(np.float32)
    lost = cost(found, noise, "report", 0)
    assert lost.auc["label"].low < 0.5 < lost.auc["label"].high + 0.03
    assert lost.overlap == pytest.approx(10 / 119, abs=0.04)
    assert cost(world(data), noise, "report", 0).worth == lost.overlap


def test_every_ladder_can_be_climbed_and_grows() -> None:
    """Each step can be fitted to vectors of its kind; its parameters are all there is to save."""
    found = world(people(), labels=True)
    listed = ladders(5, 36, has_labels=True, keeps_groups=False)
    assert len({one.name for one in listed}) == len(listed) == 8
    for ladder in listed:
        for step in (0, len(ladder.steps) - 1):
            defense = ladder.made(step)
            defense.fit(found.released, np.random.default_rng(0))
            assert fitted_arrays(defense)
            assert all(array.dtype.kind in "fiubU" for array in fitted_arrays(defense).values())
            assert (defense.certificate() is not None) <= ladder.is_certified
        keys = [tuple(step.values()) for step in ladder.steps]
        assert len(set(keys)) == len(keys)
    assert all(
        "tasks" not in one.name for one in ladders(5, 36, has_labels=False, keeps_groups=True)
    )
    assert list(gallop(2, 12)) == [2, 3, 5, 9, 11]
    assert list(gallop(3, 4)) == [3]


def test_bisection_finds_what_trying_every_strength_finds() -> None:
    found = world(people())
    search = Search(found, Target(20, 1, False, 0), lambda _: None)
    ladder = ladders(5, 36, has_labels=False, keeps_groups=False)[0]
    weakest = search.weakest(ladder)
    high = [
        search.lift(search.fitted(ladder, step), "choose", quick()).high
        for step in range(weakest.step - 6, weakest.step + 1)
    ]
    assert weakest.cost is not None
    assert weakest.lift.high == high[-1] <= 20
    assert min(high[:-2]) > 20


def test_groups_hold_users_whom_no_attacker_looks_for() -> None:
    """Ten more users of one vector each are released, and grouped, but are in no gallery."""
    data = people()
    data["user_id"] = np.append(data["user_id"], [f"guest {one}" for one in range(10)])
    data["vector"] = np.vstack([data["vector"], np.ones((10, 5))])
    data["time"] = np.append(data["time"], np.zeros(10))
    search = Search(world(data), Target(20, 1, True, 0), lambda _: None)
    assert search.bound(Averaged(k=20)) == pytest.approx(90 * 100 / (20 * 90))
    assert search.bound(Undefended()) is None


def test_advice_keeps_the_label_and_hides_users() -> None:
    data = people()
    say: list[str] = []
    found = advise(
        *(data["user_id"], data["vector"]),
        time=data["time"],
        max_lift=20,
        labels={"label": data["label"]},
        say=say.append,
    )
    best, undefended = found.chosen, found.undefended
    assert best.reaches
    assert best.lift.high <= 20 < undefended.lift.low
    # Nothing that identifies is on the axis that the label reads: noise everywhere costs more.
    assert best.defense in ("projected", "erased", "elliptical")
    assert best.cost.auc["label"].auc > undefended.cost.auc["label"].auc - 0.02
    assert found.options[0] is best
    assert len(found.options) == 8
    assert all(one.lift is not None for one in found.options if one.reaches)
    assert {line.split(":")[0] for line in say} >= {"gaussian", "none", "averaged"}
    released = found.release(None)
    assert released.shape == data["vector"].shape
    again = audit(data["user_id"], released, time=data["time"])
    assert all(one.figures["lift"] < 20 for one in again.attacks)
    plain = found.to_dict()
    assert plain["chosen"]["lift"]["high"] == best.lift.high
    assert plain["num_users"] == {"fit": 18, "choose": 36, "report": 36}


def test_certified_advice_is_bounded_and_its_noise_differs_each_time() -> None:
    data = people(60, 4)
    found = advise(
        *(data["user_id"], data["vector"]),
        time=data["time"],
        max_lift=25,
        releases=2,
        certified=True,
    )
    certificate = found.fitted.certificate()
    assert certificate is not None
    assert found.chosen.bound_lift == pytest.approx(60 * bound(certificate, 60, releases=2))
    assert found.chosen.bound_lift <= 25
    assert {one.defense for one in found.options} == {"gaussian", "laplace", "averaged"}
    averaged = next(one for one in found.options if one.defense == "averaged")
    assert averaged.parameters["regroup"] is False
    if not isinstance(found.fitted, Averaged):
        assert (found.release(None) != found.release(None)).any()
    seeded = [found.release(np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(*seeded)


def test_vectors_that_hide_users_already_are_released_as_they_are() -> None:
    data = people(60, 6)
    data["vector"] = np.random.default_rng(5).standard_normal((360, 3)) + 1e9
    found = advise(data["user_id"], data["vector"], time=data["time"], max_lift=30)
    assert found.chosen.defense == "none"
    np.testing.assert_allclose(found.release(None), data["vector"], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_lift": 0.9}, "max-lift: found 0.9, allowed: 1"),
        ({"max_lift": float("nan")}, "max-lift: found nan, allowed"),
        ({"releases": 0}, "releases: found 0, allowed: at least 1"),
        ({"labels": {"seen": np.ones(360, bool)}}, "label seen: found 1 classes, allowed: 2"),
        ({"labels": {"seen": np.arange(360) % 3}}, "label seen: found 3 classes, allowed: 2"),
        ({"labels": {"seen": np.arange(360) == 7}}, "label seen: found one class among the"),
        ({"labels": {"seen": np.full(360, np.nan)}}, "label seen must not be missing, but is in"),
        ({"labels": {"seen": np.ones(3, bool)}}, "label seen must be 360 values, got shape"),
        ({"user_id": np.arange(360) % 29}, "user_id must name 30 users with vectors in gallery"),
        ({"vector": np.zeros((3, 2))}, "vector must have a row for each of the 360 user ids"),
        (
            {"max_lift": 1.01, "certified": True},
            r"max-lift: no defense reaches 1.01 with 1 releases .*; the best is \w+ {.*}, "
            r"certified [\d.]+, and as high as [\d.]+ when attacked",
        ),
    ],
)
def test_what_cannot_be_advised_on_is_refused(change: dict[str, Any], message: str) -> None:
    data = people(60, 6)
    del data["label"]
    with pytest.raises(ValueError, match=message):
        advise(**({"max_lift": 20} | data | change))


class Odd(Defense):
    """Keeps what is no array."""

    apply = Undefended.apply

    def __init__(self) -> None:
        self.learned = [1, 2]


def test_what_cannot_be_saved_as_arrays_is_named() -> None:
    with pytest.raises(TypeError, match="learned: list is no array"):
        fitted_arrays(Odd())
