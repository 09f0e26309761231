"""The two halves of a history: whole days, no shared click, nothing fitted again."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import polars as pl
import pytest

from suite import registry
from suite.datasets.check import check
from suite.parts import Part
from suite.steps.features import MIN_CLICKS, half, prepare


@pytest.fixture(scope="module")
def dataset(tiny) -> Part:
    # Histories of 5 to 11 clicks, 9 hours apart; few have 5 on both sides, so more users.
    return Part(name=tiny, parameters={"users": 120, "events": 4, "seed": 1})


@pytest.fixture(scope="module")
def whole(dataset):
    return prepare(dataset=dataset, holdout_users=0.2)


@pytest.fixture(scope="module")
def halves(dataset, whole):
    return {side: half(whole, dataset=dataset, side=side) for side in ("gallery", "probe")}


def test_both_halves_hold_the_same_events(halves):
    gallery, probe = halves["gallery"], halves["probe"]

    assert len(gallery.events) > 0
    assert gallery.events["event_id"].equals(probe.events["event_id"])


def test_each_side_has_at_least_five_clicks_and_together_all(dataset, halves):
    tables = check(registry.create("datasets", dataset.name, dataset.parameters).tables())
    lengths = {
        (user, window): len(times)
        for user, window, times in tables.histories.select("user_id", "window", "time")
        .collect()
        .iter_rows()
    }
    sides = defaultdict(dict)
    for side, features in halves.items():
        rows = features.events.unique("row", maintain_order=True)
        steps = features.mask.sum(axis=1)
        for user, window, row in rows.select("user_id", "window", "row").iter_rows():
            sides[user, window][side] = int(steps[row])
    for key, counts in sides.items():
        assert min(counts.values()) >= MIN_CLICKS
        assert sum(counts.values()) == lengths[key]


def test_no_click_is_on_both_sides(halves):
    """Steps are unique in their first channel, so a shared click would be a shared step."""
    steps = {
        side: {
            tuple(step)
            for sequence, mask in zip(features.sequence, features.mask, strict=True)
            for step in sequence[mask].tolist()
        }
        for side, features in halves.items()
    }

    assert steps["gallery"]
    assert not steps["gallery"] & steps["probe"]


def test_events_keep_their_context_and_labels(whole, halves):
    kept = halves["gallery"]
    position = (
        whole.events.with_row_index("position")
        .join(kept.events.select("event_id"), on="event_id", maintain_order="right")["position"]
        .to_numpy()
    )

    np.testing.assert_array_equal(kept.continuous, whole.continuous[position])
    np.testing.assert_array_equal(kept.categorical, whole.categorical[position])
    np.testing.assert_array_equal(kept.labels, whole.labels[position])
    assert kept.statistics == whole.statistics


def test_histories_too_short_for_two_halves_are_refused(tiny):
    dataset = Part(name=tiny, parameters={"users": 4})
    features = prepare(dataset=dataset, holdout_users=0)

    with pytest.raises(ValueError, match="no history has 5 clicks on both of its halves"):
        half(features, dataset=dataset, side="gallery")


def test_rows_are_numbered_from_zero(halves):
    for features in halves.values():
        rows = features.events["row"]
        assert rows.unique().sort().equals(pl.Series("row", range(len(features.aggregates))))
