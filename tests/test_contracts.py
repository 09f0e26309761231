"""What every part must do. A new file in a part's folder is found here without an edit."""

from __future__ import annotations

import functools
import inspect
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from attacks.gallery import Gallery, Histories, Released
from attacks.ranks.exact import Ranks
from suite import registry
from tests.parts import PARTS, made, parts

pytestmark = pytest.mark.usefixtures("one_thread")

USERS, DIMENSIONS = 80, 16


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_a_part_can_be_made_with_its_defaults_or_an_example(kind, name):
    assert isinstance(made(kind, name), registry.part(kind, name))


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_parameter_is_keyword_only_and_typed(kind, name):
    for parameter in inspect.signature(registry.part(kind, name)).parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.annotation is not parameter.empty


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_an_unknown_parameter_is_refused_with_the_known_ones(kind, name):
    with pytest.raises(ValueError, match=f"^{kind}: {name}: unknown key 'wrong'; known: "):
        registry.create(kind, name, {"wrong": 1})


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_the_docstring_says_in_one_line_what_it_is_and_documents_each_parameter(kind, name):
    part = registry.part(kind, name)
    lines = inspect.cleandoc(part.__doc__ or "").splitlines()
    assert lines
    assert lines[0].endswith(".") or not lines[1]
    assert lines[0].isascii()
    documented = {
        word
        for line in lines
        if re.fullmatch(r"\w+(, \w+)*( : \(.*\))?", line)
        for word in line.split(" : ")[0].split(", ")
    }
    assert set(inspect.signature(part).parameters) <= documented


@parts("attacks")
def test_an_attack_says_where_it_comes_from(name):
    assert "References\n----------\n" in inspect.cleandoc(registry.part("attacks", name).__doc__)


def people(spread: float, seed: int = 0):
    """Five gallery events and two probes of each user about a center of length 1."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(USERS, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    user_row, true_row = np.repeat(np.arange(USERS), 5), np.repeat(np.arange(USERS), 2)
    events, probe = (
        (centers[row] + spread * rng.normal(size=(len(row), DIMENSIONS))).astype(np.float32)
        for row in (user_row, true_row)
    )
    return events, user_row, probe, true_row


def other_people(spread: float) -> Released:
    """Vectors of the two windows of people who are neither in the gallery nor probed."""
    events, user_row, probe, true_row = people(spread, seed=1)
    window = np.repeat(["gallery", "probe"], [len(events), len(probe)])
    return Released(
        np.concatenate([events, probe]), np.concatenate([user_row, true_row]), window=window
    )


def attacker(name: str, events, user_row, spread: float):
    """Fit an attack on gallery events, whose means are the gallery."""
    attack = made("attacks", name)
    # What a history says is the vector itself: to read the one is to know the other.
    favorite = np.abs(events).argmax(axis=1)
    gallery = Gallery(
        events,
        user_row,
        there=events,
        histories=Histories(events, favorite),
        background=other_people(spread),
        noise=spread**2 * np.eye(DIMENSIONS),
    )
    attack.fit(gallery, np.random.default_rng(0))
    return attack, attack.templates(gallery)


@functools.cache
def fitted_on_people(name: str, spread: float):
    events, user_row, *_ = people(spread)
    return attacker(name, events, user_row, spread)


def top1(found: Ranks) -> float:
    return float(((found.greater == 0) / (1 + found.equal)).mean())


CLEAR, BLURRED = 1e-3, 0.2


@parts("attacks")
def test_an_attack_finds_everyone_who_is_unmistakable_or_the_gallery_itself(name):
    attack, gallery = fitted_on_people(name, CLEAR)
    *_, probe, true_row = people(CLEAR)
    assert top1(attack.ranks(probe, gallery, true_row)) == 1
    assert top1(attack.ranks(gallery.copy(), gallery, np.arange(USERS))) == 1


@parts("attacks")
def test_an_attack_on_noise_is_as_good_as_chance(name):
    rng = np.random.default_rng(0)
    user_row, true_row = np.repeat(np.arange(USERS), 4), np.repeat(np.arange(USERS), 40)
    events, probe = (
        rng.normal(size=(len(row), DIMENSIONS)).astype(np.float32) for row in (user_row, true_row)
    )
    attack, gallery = attacker(name, events, user_row, 1.0)
    # 3,200 probes: the lift of a guess is 1 with a standard deviation of 0.16.
    assert 0.35 < USERS * top1(attack.ranks(probe, gallery, true_row)) < 1.65


@parts("attacks")
def test_a_probe_is_ranked_alone_as_among_others(name):
    attack, gallery = fitted_on_people(name, BLURRED)
    if attack.together:
        pytest.skip("decides about all probes together")
    *_, probe, true_row = people(BLURRED)
    together = attack.ranks(probe, gallery, true_row)
    for row in range(0, len(probe), 7):
        alone = attack.ranks(probe[[row]], gallery, true_row[[row]])
        assert (alone.greater[0], alone.equal[0]) == (together.greater[row], together.equal[row])


@parts("attacks")
def test_the_order_of_the_gallery_users_does_not_matter(name):
    events, user_row, probe, true_row = people(BLURRED)
    attack, gallery = fitted_on_people(name, BLURRED)
    before = attack.ranks(probe, gallery, true_row)
    order = np.random.default_rng(1).permutation(USERS)
    attack, gallery = attacker(name, events, order[user_row], BLURRED)
    after = attack.ranks(probe, gallery, order[true_row])
    assert 0.1 < top1(before) < 1 or attack.together
    np.testing.assert_array_equal(after.greater, before.greater)
    np.testing.assert_array_equal(after.equal, before.equal)


@parts("attacks")
def test_a_user_outside_the_gallery_is_behind_everyone(name):
    attack, gallery = fitted_on_people(name, BLURRED)
    *_, probe, true_row = people(BLURRED)
    found = attack.ranks(probe, gallery, np.where(true_row < 3, -1, true_row))
    assert (found.greater[true_row < 3] == USERS).all()
    assert (found.equal[true_row < 3] == 0).all()
    assert (found.greater[true_row >= 3] < USERS).all()


@parts("attacks")
def test_pooled_probes_are_of_one_person_and_keep_everyone_apart(name):
    user_row = np.repeat(np.arange(6), [1, 2, 5, 7, 12, 30])
    group = made("attacks", name).pool(user_row)
    assert group.shape == user_row.shape
    used = np.unique(group[group >= 0])
    np.testing.assert_array_equal(used, np.arange(len(used)))
    for number in used:
        assert len(np.unique(user_row[group == number])) == 1


@parts("defenses")
@pytest.mark.parametrize("shape", [(10, 4), (50, 8)])
def test_a_defense_keeps_length_type_and_input_and_repeats_itself(name, shape):
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    before = vectors.copy()
    given = Released(vectors, np.arange(len(vectors)) // 2, np.arange(len(vectors)) % 2)
    events, user_row, *_ = people(BLURRED)
    train = events[:, : shape[1]]
    defense = made("defenses", name)
    defense.fit(Released(train, user_row, labels=train[:, :2] > 0), np.random.default_rng(0))
    released, same = (defense.apply(given, np.random.default_rng(1)) for _ in range(2))
    assert (len(released), released.dtype) == (len(vectors), np.float32)
    assert np.isfinite(released).all()
    np.testing.assert_array_equal(vectors, before)
    np.testing.assert_array_equal(released, same)


OPEN = {"open_set"}
"""Protocols with probes of users who are not in the gallery."""


@pytest.fixture(scope="module")
def events(features):
    return features.events.with_columns(session_id=pl.col("event_id") // 2)


@parts("protocols")
def test_a_protocol_deals_each_event_once_and_every_probe_has_its_user_in_the_gallery(name, events):
    cut = registry.create("protocols", name, {}).cut(events)
    assert cut.columns[:3] == ["event_id", "user_id", "role"]
    assert set(cut["role"]) == {"gallery", "probe"}
    assert cut["event_id"].is_unique().all()
    owners = dict(events.select("event_id", "user_id").iter_rows())
    assert all(owners[event] == user for event, user, *_ in cut.iter_rows())
    known, asked = (set(cut.filter(role=role)["user_id"]) for role in ("gallery", "probe"))
    assert (asked <= known) != (name in OPEN)


@parts("protocols")
def test_a_protocol_leaves_out_users_with_less_than_four_events(name, events):
    cut = registry.create("protocols", name, {}).cut(events)
    # User 0 has 3 test events and user 1 has 3 train events.
    assert not {0, 1} & set(cut["user_id"])


@parts("protocols")
def test_a_protocol_does_not_depend_on_the_order_of_the_rows(name, events):
    protocol = registry.create("protocols", name, {})
    shuffled = events.sample(fraction=1, shuffle=True, seed=0)
    assert protocol.cut(shuffled).equals(protocol.cut(events))


@parts("protocols")
def test_a_protocol_without_enough_events_says_what_was_found(name, events):
    few = events.group_by("user_id", "window", maintain_order=True).head(3)
    with pytest.raises(ValueError, match=r"no user has 4 events in .*found at most 3"):
        registry.create("protocols", name, {}).cut(few)


@parts("datasets")
def test_a_dataset_says_what_zone_its_users_live_in_and_whether_they_are_real(name):
    dataset = made("datasets", name)
    ZoneInfo(dataset.time_zone)
    try:
        assert dataset.synthetic == (name == "synthetic")
    except (ValueError, OSError) as error:
        pytest.skip(f"no data of {name} here: {error}")


@parts("datasets")
def test_a_datasets_files_decide_the_digest(name):
    dataset = made("datasets", name)
    try:
        files = dataset.files()
    except (ValueError, OSError) as error:
        pytest.skip(f"no data of {name} here: {error}")
    assert all(isinstance(path, Path) for path in files)
    assert bool(files) != dataset.synthetic


COPIED = '''
from attacks.base import Attack


class Copied(Attack):
    """Nearest neighbor of copies.

    References
    ----------
    None.
    """

    def embed(self, vectors):
        return vectors.copy()
'''

ROUNDED = '''
from attacks.defenses.base import Defense


class Rounded(Defense):
    """Rounds every number.

    Parameters
    ----------
    digits
        After the point.
    """

    def __init__(self, *, digits: int = 1) -> None:
        self.digits = digits

    def apply(self, released, rng):
        return released.vectors.round(self.digits)
'''


def test_a_users_own_files_keep_the_same_contract(tmp_path):
    for file, text in (("copied.py", COPIED), ("rounded.py", ROUNDED)):
        (tmp_path / file).write_text(text)
    attack, defense = f"{tmp_path}/copied.py:Copied", f"{tmp_path}/rounded.py:Rounded"
    test_an_attack_finds_everyone_who_is_unmistakable_or_the_gallery_itself(attack)
    test_an_attack_on_noise_is_as_good_as_chance(attack)
    test_a_probe_is_ranked_alone_as_among_others(attack)
    test_the_order_of_the_gallery_users_does_not_matter(attack)
    test_a_user_outside_the_gallery_is_behind_everyone(attack)
    test_an_attack_says_where_it_comes_from(attack)
    test_a_defense_keeps_length_type_and_input_and_repeats_itself(defense, (50, 8))
    for kind, name in (("attacks", attack), ("defenses", defense)):
        test_a_part_can_be_made_with_its_defaults_or_an_example(kind, name)
        test_every_parameter_is_keyword_only_and_typed(kind, name)
        test_the_docstring_says_in_one_line_what_it_is_and_documents_each_parameter(kind, name)
