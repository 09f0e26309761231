from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from attacks.audit import audit
from attacks.audit.defended import place_in_time
from attacks.audit.gate import breaches, largest_top1
from attacks.base import Attack, Need
from attacks.defenses.base import Defense
from attacks.defenses.gaussian import Gaussian
from attacks.defenses.none import Undefended
from attacks.euclidean import Euclidean
from attacks.gallery import Gallery, Released


def people(
    num_users: int = 60, num_each: int = 6, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    user = rng.permutation(np.repeat(np.arange(num_users), num_each))
    own = rng.standard_normal((num_users, 5))
    vector = own[user] + 0.4 * rng.standard_normal((len(user), 5))
    return np.array([f"user {one}" for one in user]), vector, rng.random(len(user))


class Watched(Defense):
    """Keeps what it was given."""

    def fit(self, released: Released, rng: np.random.Generator) -> None:
        self.fitted = released

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        self.applied = released
        return released.vectors[:, :2]


class KnowsNoise(Attack):
    """Keeps the noise that it is told of."""

    needs: ClassVar[frozenset[Need]] = frozenset({"noise"})

    def fit(self, gallery: Gallery, rng: np.random.Generator) -> None:
        self.heard = [*getattr(self, "heard", []), gallery.noise]


def test_no_defense_changes_no_figure_and_noise_does() -> None:
    user, vector, time = people()
    found = audit(*(user, vector), time=time, defenses={"none": Undefended(), "noisy": Gaussian()})
    plain = audit(user, vector, time=time)
    assert found.defended["none"].to_dict() == plain.to_dict()
    assert [one.row for one in found.attacks] == [one.row for one in plain.attacks]
    assert (
        found.defended["noisy"].attacks[0].figures["lift"] < 20 < plain.attacks[0].figures["lift"]
    )
    assert found.words[: len(plain.words)] == plain.words
    assert sum(word.startswith("under noisy, cosine: ") for word in found.words) == 2
    assert found.to_dict()["defended"]["noisy"]["attacks"][0]["attack"] == "cosine"


def test_a_defense_learns_from_the_gallery_and_changes_all_in_the_order_of_time() -> None:
    user, vector, time = people()
    defense = Watched()
    found = audit(user, vector, time=time, defenses={"watched": defense}).defended["watched"]
    assert found.num_dimensions == 2
    of_user = [np.flatnonzero(user == name) for name in dict.fromkeys(user)]
    earlier = np.concatenate([rows[np.argsort(time[rows])[:3]] for rows in of_user])
    np.testing.assert_array_equal(
        np.sort(defense.fitted.vectors, axis=0), np.sort(vector[earlier].astype(np.float32), axis=0)
    )
    assert set(defense.fitted.window) == {"gallery"}
    assert set(defense.fitted.user_row) == set(range(60))
    for code, rows in enumerate(of_user):
        assert set(defense.applied.user_row[rows]) == {code}
        np.testing.assert_array_equal(
            defense.applied.order[rows], np.argsort(np.argsort(time[rows]))
        )
        assert set(defense.applied.window[rows[np.argsort(time[rows])][:3]]) == {"gallery"}
        assert set(defense.applied.window[rows[np.argsort(time[rows])][3:]]) == {"probe"}


def test_places_in_time_keep_the_given_order_where_times_are_equal() -> None:
    user = np.array([0, 1, 0, 0, 1])
    assert place_in_time(user, None).tolist() == [0, 0, 1, 2, 1]
    assert place_in_time(user, np.array([5, 9, 1, 5, 2])).tolist() == [1, 1, 0, 2, 0]


def test_an_attack_that_knows_the_noise_is_told_of_it() -> None:
    user, vector, time = people()
    attack, defense = KnowsNoise(), Gaussian(sigma_per_radius=0.5)
    audit(user, vector, time=time, attacks={"knows": attack}, defenses={"noisy": defense})
    np.testing.assert_array_equal(attack.heard[0], np.zeros((5, 5)))
    np.testing.assert_allclose(attack.heard[1], defense.sigma**2 * np.eye(5))


def test_attributes_are_inferred_from_what_is_released() -> None:
    user, vector, time = people(200)
    code = np.unique(user, return_inverse=True)[1]
    own = np.array([vector[code == one, 3].mean() for one in range(200)])
    values = np.where(own > 0, "high", "low")[code]
    found = audit(
        *(user, vector), time=time, attributes={"third": values}, defenses={"cut": Watched()}
    )
    assert found.attributes[0].balanced_accuracy_low > 0.9
    (cut,) = found.defended["cut"].attributes
    assert cut.over_chance_low < 0.05
    assert any(word.startswith("third: inferred correctly for ") for word in found.words)
    assert any(word.startswith("under cut, third: inferred") for word in found.words)
    assert found.to_dict()["attributes"][0]["attribute"] == "third"


class Overflowing(Undefended):
    """Releases infinity."""

    def apply(self, released: Released, rng: np.random.Generator) -> NDArray[np.float32]:
        return released.vectors + np.float32(np.inf)


class Unfit(Undefended):
    """Learns nothing."""

    def fit(self, released: Released, rng: np.random.Generator) -> None:
        raise ValueError("found no labels")


@pytest.mark.parametrize(
    ("defense", "message"),
    [
        (Overflowing(), "defense bad: it releases NaN or infinity"),
        (Unfit(), "defense bad: found no labels"),
    ],
)
def test_a_defense_that_fails_is_named(defense: Defense, message: str) -> None:
    user, vector, time = people(10)
    with pytest.raises(ValueError, match=message):
        audit(user, vector, time=time, defenses={"bad": defense})


def test_the_gate_compares_the_upper_end_of_each_interval() -> None:
    user, vector, time = people()
    found = audit(user, vector, time=time)
    high = [one.figures["lift_high"] for one in found.attacks]
    assert breaches(found) == breaches(found, above_lift=max(high), above_top1=1.0) == []
    assert breaches(found, above_lift=max(high) - 1e-9) == [
        f"{found.attacks[int(np.argmax(high))].attack}: lift may be as high as {max(high):.4g} "
        f"(upper end of the 95 % interval), allowed: {max(high):g}"
    ]
    assert found.attacks[0].figures["top1"] < 0.999 * high[0] / 60
    assert len(breaches(found, above_lift=1, above_top1=0)) == 4


def test_the_gate_is_about_what_defenses_release_where_there_are_any() -> None:
    user, vector, time = people()
    found = audit(*(user, vector), time=time, defenses={"strong": Gaussian(sigma_per_radius=100.0)})
    assert breaches(audit(user, vector, time=time), above_lift=15)
    assert breaches(found, above_lift=15) == []
    assert all("under strong: top1 may be" in one for one in breaches(found, above_top1=0.001))


def test_an_unreliable_interval_does_not_open_the_gate() -> None:
    """Five users with most of the probes are never named, the others always are."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(105), [4] * 100 + [200] * 5)
    vector = 10 * np.eye(105)[user] + 0.01 * rng.standard_normal((len(user), 105))
    vector[user >= 100] = 10 * np.eye(105)[rng.integers(100, size=1000)]
    (found,) = audit(
        user, vector, time=np.arange(len(user)), attacks={"euclidean": Euclidean()}
    ).attacks
    assert found.interval == "unreliable"
    assert found.figures["top1_high"] < found.figures["per_user_top1_high"] == largest_top1(found)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"above_lift": 0.99}, "fail-above-lift: found 0.99, allowed: 1"),
        ({"above_lift": float("nan")}, "fail-above-lift: found nan"),
        ({"above_top1": -0.1}, "fail-above-top1: found -0.1, allowed: 0 to 1"),
        ({"above_top1": 1.1}, "fail-above-top1: found 1.1, allowed: 0 to 1"),
    ],
)
def test_limits_that_say_nothing_are_refused(limits: dict[str, float], message: str) -> None:
    user, vector, time = people(10)
    with pytest.raises(ValueError, match=message):
        breaches(audit(user, vector, time=time), **limits)
