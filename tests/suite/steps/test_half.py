"""The two halves of a history: whole units, no shared click, nothing fitted again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from suite import registry
from suite.datasets.base import HISTORIES, Dataset, Tables
from suite.datasets.check import check
from suite.features.aggregates import AGGREGATES
from suite.parts import Part
from suite.steps.features import prepare
from suite.steps.half import DEALT, MIN_CLICKS, half
from tests.canonical import STARTS, event, frame, tables


@pytest.fixture(scope="module")
def dataset(tiny) -> Part:
    # Histories of 5 to 11 clicks, 9 hours apart, so each is a session; few have 5 on both sides.
    return Part(name=tiny, parameters={"users": 120, "events": 4, "seed": 1})


@pytest.fixture(scope="module")
def whole(dataset):
    return prepare(dataset=dataset, holdout_users=0.2)


@pytest.fixture(scope="module")
def halves(dataset, whole):
    return both(whole, dataset)


def both(whole, dataset, deal="session"):
    return {
        side: half(whole, dataset=dataset, side=side, deal=deal) for side in ("gallery", "probe")
    }


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

    with pytest.raises(ValueError, match="no history has 5 clicks on both of its halves, d"):
        half(features, dataset=dataset, side="gallery", deal="session")


def test_rows_are_numbered_from_zero(halves):
    for features in halves.values():
        rows = features.events["row"]
        assert rows.unique().sort().equals(pl.Series("row", range(len(features.aggregates))))


@dataclass(frozen=True, kw_only=True)
class Sittings(Dataset):
    """Users with sessions of clicks, each click known by the whole number in channel 1.

    The histories of two windows share clicks, and that of the later one begins at its
    ``later``-th click.

    Parameters
    ----------
    later
        Clicks of the whole log that the test history lacks at its beginning.
    """

    later: int = 13

    time_zone = "UTC"

    @property
    def synthetic(self) -> bool:
        return True

    def files(self):
        return []

    def log(self) -> dict[int, list[tuple[datetime, int]]]:
        """Time and number of each user's clicks: pauses of 30 minutes at most, or more."""
        rng = np.random.default_rng(5)
        pauses = np.array([1, 10, 30, 30.01, 31, 200, 900])
        found = {}
        for user in range(40):
            gaps = rng.choice(pauses, size=90, p=[0.35, 0.25, 0.15, 0.05, 0.05, 0.1, 0.05])
            minutes = 1 + np.cumsum(gaps)
            start = STARTS["train"] - timedelta(days=20)
            found[user] = [
                (start + timedelta(minutes=float(m)), 100 * user + k) for k, m in enumerate(minutes)
            ]
        return found

    def tables(self) -> Tables:
        histories, events = [], []
        for user, clicks in self.log().items():
            for window in STARTS:
                kept = clicks[self.later :] if window == "test" else clicks
                assert kept[-1][0] < STARTS[window]
                histories.append(
                    {
                        "user_id": user,
                        "window": window,
                        "time": [time for time, _ in kept],
                        "item_id": [1] * len(kept),
                        "channel_1": [float(number) for _, number in kept],
                        "channel_2": [50.0 + number % 7 for _, number in kept],
                    }
                )
                for k in range(4):
                    number = len(events)
                    when = STARTS[window] + timedelta(hours=k)
                    events.append(event(number, user, window, number % 3 == 0, time=when))
        return replace(tables(events, []), histories=frame(histories, HISTORIES))


SITTINGS = Part(name=f"{__file__}:Sittings", parameters={})


@pytest.fixture(scope="module")
def seated():
    return prepare(dataset=SITTINGS, holdout_users=0.2)


def sides(whole, halves):
    """Side of each click seen in a window, by window and number: from the last 50 steps."""
    mean, std = (whole.statistics[f"sequence_{name}"][0] for name in ("mean", "std"))
    found = defaultdict(dict)
    for side, features in halves.items():
        for window, row in features.events.select("window", "row").unique().iter_rows():
            steps = features.sequence[row][features.mask[row]][:, 0].astype(float)
            for number in np.rint(steps * std + mean).astype(int).tolist():
                assert found[window].setdefault(number, side) == side
    return found


def units(clicks, deal):
    """Which clicks of a user must stay together, worked out one click at a time."""
    key, last, found = 0, None, defaultdict(list)
    for time, number in clicks:
        if deal == "day":
            key = time.astimezone(UTC).date()
        elif deal == "click" or (last is not None and time - last > timedelta(minutes=30)):
            key += 1
        found[key].append(number)
        last = time
    return list(found.values())


@pytest.mark.parametrize("deal", ["session", "day", "click"])
def test_a_unit_lies_on_one_side_in_all_windows_and_units_are_dealt_evenly(seated, deal):
    found = sides(seated, both(seated, SITTINGS, deal))
    # The test history begins within units that the others have from their start.
    seen = found["train"] | found["test"]
    for number in found["train"].keys() & found["test"].keys():
        assert found["train"][number] == found["test"][number]
    dealt = []
    for clicks in Sittings().log().values():
        for unit in units(clicks, deal):
            here = {seen[number] for number in unit if number in seen}
            assert len(here) <= 1
            dealt += here
    expected = 0.5 * np.sqrt(len(dealt))
    assert abs(dealt.count("gallery") - len(dealt) / 2) < 4 * expected
    assert len(dealt) > {"session": 500, "day": 40, "click": 2000}[deal]


@pytest.mark.parametrize("deal", ["session", "day", "click"])
def test_what_the_coin_decides_is_the_same_for_everybody(seated, deal):
    for features in both(seated, SITTINGS, deal).values():
        for number, name in enumerate(AGGREGATES):
            column = features.aggregates[:, number]
            if name in DEALT:
                np.testing.assert_array_equal(column, 0)
    assert np.ptp(features.aggregates[:, AGGREGATES.index("channel_1_mean")]) > 0


def test_the_other_aggregates_describe_the_clicks_of_the_half(seated):
    index = AGGREGATES.index("channel_2_mean")
    mean, std = (seated.statistics[f"aggregates_{name}"][index] for name in ("mean", "std"))
    for features in both(seated, SITTINGS).values():
        raw_mean, raw_std = (seated.statistics[f"sequence_{name}"][1] for name in ("mean", "std"))
        for row in np.flatnonzero(features.mask.sum(axis=1) < 50):
            steps = features.sequence[row][features.mask[row]][:, 1] * raw_std + raw_mean
            found = features.aggregates[row, index] * std + mean
            assert found == pytest.approx(steps.mean(), abs=1e-3)
