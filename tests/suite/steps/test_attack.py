from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from attacks.base import Attack
from attacks.certify import bound
from attacks.defenses.base import Certificate, GroupCertificate
from attacks.defenses.rotated import Rotated
from attacks.gallery import Released
from suite.artifacts.outcome import Outcome
from suite.artifacts.representation import Representation
from suite.parts import Part
from suite.steps.attack import attack
from suite.steps.comparisons.strongest import top1


def world(features, *, noise: float = 0.5, d: int = 6, seed: int = 0) -> Representation:
    """Vectors about a center of each user."""
    rng = np.random.default_rng(seed)
    user = features.events["user_id"].to_numpy()
    centers = rng.normal(size=(user.max() + 1, d))
    vector = centers[user] + noise * rng.normal(size=(len(user), d))
    event = features.events["event_id"].to_numpy()
    return Representation(user_id=user, event_id=event, vector=vector.astype(np.float32))


def run(features, representation, protocol="static", name="cosine", **more) -> Outcome:
    if isinstance(protocol, str):
        protocol = Part(name=protocol)
    parts = {"protocol": protocol, "attack": Part(name=name)}
    return attack(features, representation, **(parts | {"seed": 0} | more))


def brute_force(features, representation, protocol, name) -> tuple[pl.DataFrame, int]:
    """Ranks by the definition: float64 means and scores, one probe at a time."""
    from suite import registry

    cut = registry.create("protocols", protocol, {}).cut(features.events)
    vector = dict(zip(representation.event_id, representation.vector.astype(float), strict=True))
    gallery = {
        user: np.mean([vector[event] for event in events], axis=0)
        for user, events in cut.filter(role="gallery")
        .group_by("user_id")
        .agg("event_id")
        .iter_rows()
    }
    rows = []
    for event, user, _ in cut.filter(role="probe").iter_rows():
        score = {
            other: -np.linalg.norm(vector[event] - mean)
            if name == "euclidean"
            else vector[event] @ mean / np.linalg.norm(mean)
            for other, mean in gallery.items()
        }
        greater = sum(s > score[user] for s in score.values())
        rows.append({"event_id": event, "user_id": user, "greater": greater})
    return pl.DataFrame(rows), len(gallery)


@pytest.mark.parametrize("name", ["cosine", "euclidean"])
@pytest.mark.parametrize("protocol", ["static", "rolling"])
def test_ranks_are_those_against_the_mean_vector_of_every_user(features, protocol, name):
    representation = world(features)
    found = run(features, representation, protocol, name)
    expected, num_gallery = brute_force(features, representation, protocol, name)
    assert found.num_gallery == num_gallery == 22
    assert found.probes.select("event_id", "user_id", "greater").rows() == expected.rows()
    assert found.probes["equal"].sum() == 0
    assert 0 < (found.probes["greater"] > 0).mean() < 1


def test_dropped_are_the_events_of_users_who_have_too_few(features):
    # User 0 has 3 test events and user 1 3 train events; static is about test, rolling about both.
    representation = world(features)
    assert run(features, representation, "static").num_dropped == 3 + 6
    assert run(features, representation, "rolling").num_dropped == (3 + 6) + (6 + 3)


def without(representation, left_out) -> Representation:
    return Representation(
        user_id=representation.user_id[~left_out],
        event_id=representation.event_id[~left_out],
        vector=representation.vector[~left_out],
    )


def test_a_user_without_a_vector_of_some_event_takes_no_part(features):
    """Else the rest may be probes without a gallery vector, of somebody who seems unknown."""
    whole = world(features)
    windows = Part(name="static", parameters={"windows": ("train", "test")})
    user, window = features.events["user_id"].to_numpy(), features.events["window"].to_numpy()
    lost = np.isin(user, (4, 5)) & (window == "train")
    complete = run(features, whole, protocol=windows)
    found = run(features, whole, protocol=windows, probed=without(whole, lost))
    assert complete.num_gallery == found.num_gallery + 2
    assert not set(found.probes["user_id"]) & {4, 5}
    assert found.num_dropped == complete.num_dropped + 2 * 12
    assert found.probes["greater"].max() < found.num_gallery
    nobody = without(whole, window == "train")
    with pytest.raises(ValueError, match=r"^attack: none of the 22 users of the protocol has a ve"):
        run(features, whole, protocol=windows, probed=nobody)


def test_well_separated_users_are_all_named_and_equal_vectors_all_tie(features):
    clear = run(features, world(features, noise=1e-3))
    assert clear.probes["greater"].sum() == clear.probes["equal"].sum() == 0
    representation = world(features)
    alike = Representation(
        user_id=representation.user_id,
        event_id=representation.event_id,
        vector=np.ones_like(representation.vector),
    )
    tied = run(features, alike).probes
    assert (tied["greater"] == 0).all()
    assert (tied["equal"] == 21).all()


def test_the_order_of_the_released_rows_does_not_matter(features):
    representation = world(features)
    order = np.random.default_rng(1).permutation(len(representation.user_id))
    shuffled = Representation(
        user_id=representation.user_id[order],
        event_id=representation.event_id[order],
        vector=representation.vector[order],
    )
    assert run(features, shuffled).probes.equals(run(features, representation).probes)


def test_the_probes_may_come_from_vectors_of_their_own(features):
    gallery, probes = world(features, seed=0), world(features, seed=1)
    own = run(features, gallery, probed=probes)
    # Centers of another world: nobody is recognized but by chance.
    assert (own.probes["greater"] > 0).mean() > 0.5
    assert run(features, gallery, probed=gallery).probes.equals(run(features, gallery).probes)


class Asked(Attack):
    """Keeps what it is told of the noise."""

    needs = frozenset({"noise"})
    told: ClassVar[list[Any]] = []

    def fit(self, gallery, rng):
        self.told.append(gallery.noise)


def test_an_attack_is_told_of_the_noise_in_a_vector_where_it_asks(features, monkeypatch):
    monkeypatch.setattr("suite.registry.create", registry_with(Asked))
    plain, noise = world(features), np.diag(np.arange(6.0))
    noisy = replace(plain, noise=noise)
    for gallery, probed in ((plain, None), (noisy, None), (plain, noisy)):
        run(features, gallery, probed=probed, name="asked")
    zeros, of_gallery, of_probes = Asked.told
    np.testing.assert_array_equal(zeros, np.zeros((6, 6)))
    np.testing.assert_array_equal(of_gallery, noise)
    np.testing.assert_array_equal(of_probes, noise)


def registry_with(attack):
    from suite import registry

    made = registry.create
    return lambda kind, name, given: attack() if name == "asked" else made(kind, name, given)


def test_a_gallery_and_probes_of_different_length_are_refused(features):
    message = r"^attack: the gallery's vectors have 6 dimensions, the probes 3; they cannot be comp"
    with pytest.raises(ValueError, match=message):
        run(features, world(features), probed=world(features, d=3))


def test_a_user_outside_the_gallery_is_a_miss(features):
    found = run(features, world(features), "open_set").probes
    unknown = found.filter(pl.col("greater") == 22 - 6)
    assert unknown["user_id"].n_unique() == 6
    assert (unknown["equal"] == 0).all()
    assert found["best"].is_finite().all()


@pytest.mark.parametrize("name", ["cosine", "euclidean", "matching"])
def test_float64_vectors_with_a_large_offset_are_named_as_without_it(features, name):
    plain = world(features, noise=0.2)
    exact = plain.vector.astype(np.float64) + 1e8
    moved = run(features, replace(plain, vector=exact), name=name)
    found = run(features, plain, name=name)
    assert moved.num_rounded == moved.num_tied_apart == 0
    named = [(one.probes["greater"] == 0).mean() for one in (found, moved)]
    assert min(named) > 0.9
    assert named[1] == pytest.approx(named[0], abs=0.05)


def test_an_outlying_user_leaves_the_others_named(features):
    representation = world(features, noise=1e-3)
    representation.vector[representation.user_id == 5] *= 1e9
    found = run(features, representation, name="euclidean")
    assert (found.probes["greater"] == 0).all()
    assert (found.probes["equal"] == 0).all()
    assert found.num_tied_apart == 0


def far_apart(features, *, rounding: bool) -> Representation:
    """Two crowds at a distance of 2e9; within one, users are apart by less than is computed."""
    representation = world(features)
    user = representation.user_id
    vector = np.zeros((len(user), 2))
    vector[:, 0] = np.where(user % 2, 1e9, -1e9) + user * rounding
    vector[:, 1] = 1e-4 * user * (not rounding)
    return replace(representation, vector=vector)


@pytest.mark.parametrize("name", ["cosine", "euclidean"])
@pytest.mark.parametrize("rounding", [True, False])
def test_vectors_that_only_rounding_or_the_tie_rule_merges_are_counted(features, name, rounding):
    from suite.steps.measure import measure

    merged = run(features, far_apart(features, rounding=rounding), name=name)
    extra = measure(merged).extra
    num_probes = merged.probes.height
    num_vectors = len(features.events.filter(window="test")) - merged.num_dropped

    assert (merged.probes["equal"] >= 10).all()
    if rounding:
        assert (merged.num_rounded, merged.num_tied_apart) == (num_vectors, 0)
        assert extra["reid/num_rounded"] == num_vectors
    else:
        assert (merged.num_rounded, merged.num_tied_apart) == (0, num_probes)
        assert extra["reid/num_tied_apart"] == num_probes
    clear = measure(run(features, world(features))).extra
    assert not {"reid/num_rounded", "reid/num_tied_apart"} & clear.keys()


def test_an_inversion_reads_the_favorite_category_of_the_history(features):
    row = features.events["row"].to_numpy()
    favorite = features.favorite[row]
    assert (favorite != features.categorical[:, 0]).mean() > 0.5
    noise = 0.01 * np.random.default_rng(0).normal(size=(len(row), 5))
    spelled = replace(world(features), vector=(np.eye(5)[favorite] + noise).astype(np.float32))
    found = run(features, spelled, name="inversion").facts
    assert found["favorite_accuracy"] == 1
    assert found["majority_accuracy"] < 0.7


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(features, bad):
    representation = world(features)
    representation.vector[:] = bad
    with pytest.raises(ValueError, match="finite") as refused:
        run(features, representation)
    assert "\n" not in str(refused.value)


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("protocol", ["static", "open_set"])
def test_the_outcome_is_bit_equal_over_1_3_and_16_shards(features, protocol):
    whole, *spread = (
        run(features, world(features), protocol, num_shards=num_shards) for num_shards in (1, 3, 16)
    )
    for outcome in spread:
        assert outcome.probes.equals(whole.probes)
        assert (outcome.num_gallery, outcome.num_dropped) == (whole.num_gallery, whole.num_dropped)


def test_what_is_saved_is_loaded(features, tmp_path):
    found = run(features, world(features))
    found.save(tmp_path)
    again = Outcome.load(tmp_path)
    assert again.probes.equals(found.probes)
    assert again.probes.schema == found.probes.schema
    assert (again.num_gallery, again.num_dropped) == (found.num_gallery, found.num_dropped)


def test_every_attacker_is_bounded_by_the_certificate_of_the_probes(features):
    """A pooled probe is as many releases; users outside the gallery may be in its groups."""
    noisy = replace(world(features), certificate=Certificate(1.0, 5.0, ""), num_releases=3)
    pairs = Part(name="aggregated", parameters={"m": 2})
    plain, pooled = run(features, noisy), run(features, noisy, attack=pairs)
    assert plain.bound_top1 == bound(noisy.certificate, 22, releases=3)
    assert pooled.bound_top1 == bound(noisy.certificate, 22, releases=3 * 2)
    probed = run(features, world(features), protocol="rolling", probed=noisy)
    assert probed.bound_top1 == plain.bound_top1
    assert run(features, noisy, protocol="rolling", probed=world(features)).bound_top1 is None
    grouped = replace(world(features), certificate=GroupCertificate(8, True, ""))
    num_users = len(np.unique(grouped.user_id))
    assert num_users > 22
    assert run(features, grouped).bound_top1 == pytest.approx(num_users / (8 * 22))


def test_where_nothing_bounds_every_attacker_it_is_said_why(features):
    assert (
        run(features, world(features)).bound_top1,
        run(features, world(features)).unbounded,
    ) == (
        None,
        "",
    )
    quantized = replace(world(features), uncertified="no noise")
    assert run(features, quantized).unbounded == "no noise"
    noisy = replace(world(features), certificate=Certificate(1.0, 5.0, ""))
    matched = run(features, noisy, name="matching")
    assert (matched.bound_top1, matched.unbounded[:33]) == (
        None,
        "the attack names probes together,",
    )


@pytest.mark.parametrize("num_known", [10, 15])
def test_users_known_in_both_spaces_are_known_by_what_the_probes_window_releases(
    features, num_known
):
    plain = world(features, noise=0.05)
    users = np.unique(plain.user_id, return_inverse=True)[1]
    window = features.events["window"].to_numpy()
    given = Released(plain.vector, users, window=window)
    turned = replace(plain, vector=Rotated().apply(given, np.random.default_rng(0)))
    more = {"protocol": "rolling", "probed": turned}

    assert top1(run(features, plain, name="cosine", **more)) < 0.2
    linked = run(
        features, plain, attack=Part(name="linked", parameters={"num_known": num_known}), **more
    )
    assert top1(linked) > 0.9
    assert linked.probes["user_id"].n_unique() == linked.num_gallery - num_known
