"""Who is learned from is never in the gallery and never named."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from attacks.base import Attack
from attacks.gallery import Gallery
from suite import registry
from suite.artifacts.representation import Representation
from suite.datasets.holdout import held_out
from suite.parts import Part
from suite.steps.attack import attack
from suite.steps.background import described, set_aside
from suite.steps.measure import measure


def log(num_users: int, outside: int, *, windows=("train", "test")) -> tuple[pl.DataFrame, ...]:
    """Two events of each user in each window; all but the last ``outside`` users are in the cut."""
    user = np.repeat(np.arange(num_users), 2 * len(windows))
    window = np.tile(np.repeat(windows, 2), num_users)
    events = pl.DataFrame({"event_id": np.arange(len(user)), "user_id": user, "window": window})
    cut = events.filter(pl.col("user_id") < num_users - outside)
    role = pl.when(pl.col("window") == windows[0]).then(pl.lit("gallery"))
    return events, cut.select("event_id", "user_id", role=role.otherwise(pl.lit("probe")))


def users(events: pl.DataFrame) -> set[int]:
    return set(events["user_id"].to_list())


def test_half_of_the_users_are_set_aside_where_nobody_is_left_over():
    events, cut = log(1000, 0)
    attacked, background = set_aside(events, cut)

    assert users(attacked) | users(background) == set(range(1000))
    assert not users(attacked) & users(background)
    assert 450 < len(users(background)) < 550
    assert attacked.columns == background.columns == cut.columns
    assert pl.concat([attacked, background]).sort("event_id").equals(cut.sort("event_id"))


def test_few_who_are_left_over_are_learned_from_too():
    events, cut = log(1000, 100)
    attacked, background = set_aside(events, cut)

    assert set(range(900, 1000)) < users(background)
    assert 400 < len(users(attacked)) < 500
    roles = background.filter(pl.col("user_id") >= 900).join(events, on="event_id")
    assert (roles["role"] == "gallery").to_list() == (roles["window"] == "train").to_list()


def test_enough_who_are_left_over_leave_the_protocol_as_it_is():
    events, cut = log(100, 50)
    attacked, background = set_aside(events, cut)

    assert attacked.equals(cut)
    assert users(background) == set(range(50, 100))


def test_users_left_over_with_one_window_only_are_no_use():
    events, cut = log(100, 60)
    events = events.filter((pl.col("user_id") < 70) | (pl.col("window") == "train"))

    assert {user for user in users(set_aside(events, cut)[1]) if user >= 40} == set(range(40, 70))


def test_the_same_users_are_set_aside_in_every_window_and_independently_of_the_holdout():
    events, cut = log(1000, 0)
    later, cut_later = log(1000, 0, windows=("train", "validation"))
    aside = users(set_aside(events, cut)[1])

    assert aside == users(set_aside(later, cut_later)[1])
    held = {user for user in range(1000) if held_out(np.array([user]), 0.2)[0]}
    assert 0.4 < len(held & aside) / len(held) < 0.6


def test_roles_within_one_window_give_nobody_outside_a_role():
    events, cut = log(100, 60, windows=("test", "test"))
    cut = cut.with_columns(role=pl.Series(["gallery", "probe"] * (cut.height // 2)))

    assert max(users(set_aside(events, cut)[1])) < 40


def test_it_is_said_who_is_learned_from():
    events, cut = log(1000, 1)
    background = set_aside(events, cut)[1]
    size = len(users(background))

    expected = f"background: {size:,} other users, their train and test vectors"
    assert described(events, background) == expected


class Learner(Attack):
    """Keeps what it is given."""

    needs = frozenset({"background"})
    given: ClassVar[list[Gallery]] = []

    def fit(self, gallery, rng):
        self.given.append(gallery)


@pytest.mark.parametrize("protocol", ["static", "rolling", "open_set"])
def test_an_attack_gets_vectors_of_users_whom_it_neither_holds_nor_names(
    features, monkeypatch, protocol
):
    user = features.events["user_id"].to_numpy()
    window = np.unique(features.events["window"].to_numpy(), return_inverse=True)[1]
    event = features.events["event_id"].to_numpy()
    # A vector says whose it is, and of which window.
    released = Representation(user, event, np.column_stack([user, window]).astype(np.float32))
    made = registry.create
    monkeypatch.setattr(
        "suite.registry.create",
        lambda kind, name, given: Learner() if name == "learner" else made(kind, name, given),
    )
    parts = {"protocol": Part(name=protocol), "attack": Part(name="learner")}
    found = attack(features, released, **parts, seed=0)
    held = Learner.given[-1]

    background = set(held.background.vectors[:, 0])
    assert len(background) > 4
    assert not background & set(held.vectors[:, 0])
    assert not background & set(found.probes["user_id"].to_list())
    assert found.num_gallery == len(set(held.vectors[:, 0]))
    assert set(held.background.window) == {"gallery", "probe"}
    later = held.background.vectors[held.background.window == "probe", 1]
    assert len(set(later)) == 1
    assert found.knew.startswith("background: ")
    assert found.knew in measure(found).row["reason"]
    plain = attack(features, released, **parts | {"attack": Part(name="cosine")}, seed=0)
    assert found.num_gallery < plain.num_gallery
    assert plain.knew == ""
    beside = attack(
        features, released, **parts | {"attack": Part(name="cosine")}, seed=0, aside=True
    )
    assert beside.probes["event_id"].equals(found.probes["event_id"])
    assert beside.num_gallery == found.num_gallery
    num_aside = plain.probes["user_id"].n_unique() - beside.probes["user_id"].n_unique()
    assert beside.knew == f"{num_aside} users are set aside, for background to learn from"
