from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from attacks.certify import why_none
from attacks.defenses.base import Certificate, Defense, GroupCertificate, MetricCertificate
from suite import registry
from suite.artifacts.representation import Representation
from suite.parts import Part
from suite.steps.attack import attack
from suite.steps.defend import defend


class Told(Defense):
    """Adds its own noise, half of which is kept, and notes what it is given."""

    given: ClassVar[dict[str, Any]] = {}
    bad: ClassVar[Any] = None

    def fit(self, released, rng):
        self.given["fit"] = released

    def apply(self, released, rng):
        self.given["apply"] = released
        if self.bad is not None:
            return self.bad(released.vectors)
        return (released.vectors + rng.normal(size=released.vectors.shape)).astype(np.float32)

    def noise(self, num_releases=1):
        return np.eye(3) * (0.5 + 0.5 / num_releases)

    def certificate(self):
        return Certificate(radius=2.0, sigma=0.5, assumes="nothing")


@pytest.fixture(autouse=True)
def told(monkeypatch):
    made = registry.create
    monkeypatch.setattr(Told, "given", {})
    monkeypatch.setattr(
        registry,
        "create",
        lambda kind, name, given: Told() if name == "told" else made(kind, name, given),
    )
    return Told


def world(features, seed: int = 0) -> Representation:
    """Vectors about a center of each user."""
    rng = np.random.default_rng(seed)
    user = features.events["user_id"].to_numpy()
    vector = rng.normal(size=(user.max() + 1, 3))[user] + 0.1 * rng.normal(size=(len(user), 3))
    return Representation(user, features.events["event_id"].to_numpy(), vector.astype(np.float32))


def part(of: Representation, rows) -> Representation:
    return Representation(of.user_id[rows], of.event_id[rows], of.vector[rows])


def defended(features, released, whole=None, **more) -> Representation:
    return defend(features, released, whole, defense=Part(name="told"), seed=0, **more)


def test_it_is_fitted_on_train_vectors_of_trained_users_alone(features):
    released = world(features)
    shuffled = part(released, np.random.default_rng(1).permutation(len(released.event_id)))
    defended(features, shuffled)
    known = features.events.filter(window="train", trained=True)["event_id"].to_list()
    vector = dict(zip(released.event_id.tolist(), released.vector.tolist(), strict=True))
    expected = [vector[e] for e in shuffled.event_id.tolist() if e in set(known)]
    found = Told.given["fit"]
    np.testing.assert_array_equal(found.vectors, expected)
    assert len(known) < len(features.events.filter(window="train"))
    assert set(found.window) == {"train"}


def test_it_is_told_whose_each_vector_is_its_place_in_time_and_what_happened(features):
    rows = np.random.default_rng(2).permutation(len(features.events))
    defended(features, part(world(features), rows))
    found, events = Told.given["apply"], features.events[rows]
    user = events["user_id"].to_numpy()
    assert len(np.unique(np.stack([user, found.user_row]), axis=1).T) == len(np.unique(user))
    assert found.window.tolist() == events["window"].to_list()
    np.testing.assert_array_equal(found.labels[:, 0], events["engaged"].to_numpy())
    for one in np.unique(user):
        own = np.flatnonzero(user == one)
        by_time = own[np.argsort(events["time"].to_numpy()[own], kind="stable")]
        np.testing.assert_array_equal(found.order[by_time], np.arange(len(own)))


def test_half_of_the_history_is_defended_as_the_whole_asks_for(features):
    whole = world(features)
    half = replace(part(whole, slice(10, 90)), vector=world(features, seed=1).vector[10:90])
    found = defended(features, half, whole)
    np.testing.assert_array_equal(found.event_id, half.event_id)
    np.testing.assert_array_equal(Told.given["apply"].vectors, half.vector)
    fitted_on = Told.given["fit"].vectors
    defended(features, whole)
    np.testing.assert_array_equal(fitted_on, Told.given["fit"].vectors)


def test_the_seed_decides_and_the_input_stays(features):
    released = world(features)
    before = released.vector.copy()
    first, same = defended(features, released), defended(features, released)
    other = defend(features, released, defense=Part(name="told"), seed=1)
    np.testing.assert_array_equal(first.vector, same.vector)
    assert (first.vector != other.vector).mean() > 0.9
    np.testing.assert_array_equal(released.vector, before)


def test_all_releases_are_as_many_as_the_user_has_events_in_the_window(features):
    """User 0 has 3 events in test, user 1 3 in train, all else 6 in each window."""
    released = world(features)
    vector = defended(features, released, releases_m="all").vector
    rng = np.random.default_rng(0).spawn(2)[1]
    given = Told.given["apply"]
    draws = np.stack([Told().apply(given, rng) for _ in range(6)]).astype(np.float64)
    few = (features.events["user_id"] == 0) & (features.events["window"] == "test")
    few |= (features.events["user_id"] == 1) & (features.events["window"] == "train")
    assert few.sum() == 6
    three = few.to_numpy()[:, None]
    expected = np.where(three, draws[:3].mean(axis=0), draws.mean(axis=0))
    np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-6)


def test_an_adversary_knows_the_noise_in_what_it_observes(features, tmp_path):
    released = world(features)
    num_events, few = len(features.events), 6
    expected = {
        1: 1.0,
        4: 0.5 + 0.125,
        "all": 0.5 + 0.5 * (few / 3 + (num_events - few) / 6) / num_events,
    }
    for number, variance in expected.items():
        found = defended(features, released, releases_m=number)
        np.testing.assert_allclose(found.noise, variance * np.eye(3))
        assert found.certificate == Certificate(2.0, 0.5, "nothing")
        assert found.num_releases == (6 if number == "all" else number)
    found.save(tmp_path)
    again = Representation.load(tmp_path)
    np.testing.assert_array_equal(again.vector, found.vector)
    np.testing.assert_array_equal(again.noise, found.noise)
    assert (again.certificate, again.uncertified) == (found.certificate, "")
    assert again.num_releases == 6


@pytest.mark.parametrize(
    "certificate",
    [MetricCertificate(1.0, 2.0, "a"), GroupCertificate(5, True, "b"), Certificate(1.0, 0.5, "c")],
)
def test_every_certificate_is_kept_as_data(features, certificate, tmp_path):
    replace(world(features), certificate=certificate).save(tmp_path)
    assert Representation.load(tmp_path).certificate == certificate


def test_why_there_is_no_certificate_is_kept(features, monkeypatch, tmp_path):
    monkeypatch.setattr(Told, "certificate", Defense.certificate)
    found = defended(features, world(features))
    assert (found.certificate, found.uncertified) == (None, why_none(Told()))
    found.save(tmp_path)
    assert Representation.load(tmp_path).uncertified == found.uncertified


def test_an_undefended_release_has_no_noise_and_no_certificate(features, tmp_path):
    world(features).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["representation.parquet"]
    again = Representation.load(tmp_path)
    assert again.noise is again.certificate is None


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda v: v[:-1], r"^defense told: found an array of shape \(\d+, 3\), must release one"),
        (lambda v: v[:, 0], r"^defense told: found an array of shape \(\d+,\), must release one v"),
        (lambda v: v / 0, r"^defense told: \d+ of \d+ released vectors are not finite$"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_is_no_vector_of_each_event_is_refused(features, monkeypatch, bad, message):
    monkeypatch.setattr(Told, "bad", staticmethod(bad))
    with pytest.raises(ValueError, match=message):
        defended(features, world(features))


def test_noise_hides_users_and_averaged_releases_show_them_again(features):
    """An attacker averages 400 releases: of noise of 5 spreads a quarter is left."""
    found = []
    for number in (0, 1, 400):
        released = world(features)
        if number:
            noisy = replace(released, vector=released.vector / 5)
            released = defended(features, noisy, releases_m=number)
        where = {"protocol": Part(name="rolling"), "attack": Part(name="euclidean"), "seed": 0}
        probes = attack(features, released, **where).probes
        found.append(probes.select((pl.col("greater") == 0).mean()).item())
    clear, once, often = found
    assert once < 0.3 < 0.6 < often <= clear
