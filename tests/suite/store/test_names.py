"""A storage whose name holds what patterns and URIs are made of is that folder and no other."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from suite.artifacts.figures import Measures
from suite.artifacts.fitted import Fitted
from suite.artifacts.outcome import Outcome
from suite.artifacts.representation import Representation
from suite.store import checkpoints
from suite.store.results import Store
from tuning.storage import storage

DIGEST = "0f" * 32

# What each could be taken for as a pattern or a URI is there as well, and holds something else.
NAMES = {"br[1]ack": "br1ack", "st*r": "star", "q?x=1": "qux=1", "h#sh": "h", "pct%20x": "pct x"}


@pytest.fixture(params=NAMES)
def stores(request, tmp_path):
    """The store of that name, and the one it could be taken for."""
    return Store(str(tmp_path / request.param)), Store(str(tmp_path / NAMES[request.param]))


def results(value: float):
    """One result of each type that holds a table, told apart by its value."""
    table = pl.DataFrame({"value": [value]})
    ones = np.ones(2, np.int64)
    return [
        Measures({"lift": value}, {}, table),
        Fitted({"w": np.full(2, value)}, table, [], [1.0], 1, {}),
        Outcome(table, num_gallery=int(value), num_dropped=0),
        Representation(ones, ones, np.full((2, 3), value, np.float32)),
    ]


@pytest.mark.parametrize("number", range(4))
def test_every_result_is_read_from_the_named_folder(stores, number):
    for store, value in zip(stores, (3.0, 5.0), strict=True):
        with store.writing("fit", DIGEST, {}) as folder:
            results(value)[number].save(folder)
    for store, value in zip(stores, (3.0, 5.0), strict=True):
        expected = results(value)[number]
        found = type(expected).load(store.path("fit", DIGEST))
        for name, wanted in vars(expected).items():
            if isinstance(wanted, pl.DataFrame):
                assert getattr(found, name).equals(wanted)
            else:
                np.testing.assert_equal(getattr(found, name), wanted)
    stores[0].remove("fit", DIGEST)
    assert not stores[0].has("fit", DIGEST)
    assert stores[1].has("fit", DIGEST)


def test_features_are_read_from_the_named_folder(tmp_path, features):
    for name, other in NAMES.items():
        features.save(tmp_path / name)
        (tmp_path / other).mkdir()
        features.events.clear().write_parquet(tmp_path / other / "events.parquet")
        assert type(features).load(tmp_path / name).events.equals(features.events)


def test_a_checkpoint_is_kept_in_the_named_folder(stores):
    for number, store in enumerate(stores):
        checkpoints.save(f"{store.scratch(DIGEST)}/checkpoint.pt", {"w": torch.tensor(number)})
    for number, store in enumerate(stores):
        state = checkpoints.load(f"{store.scratch(DIGEST)}/checkpoint.pt")
        assert state is not None
        assert state["w"] == number
    stores[0].clear(DIGEST)
    assert checkpoints.load(f"{stores[0].scratch(DIGEST)}/checkpoint.pt") is None
    assert checkpoints.load(f"{stores[1].scratch(DIGEST)}/checkpoint.pt") is not None


def test_what_is_published_lies_in_the_named_folder(stores, tmp_path):
    for number, store in enumerate(stores):
        folder = tmp_path / f"board{number}"
        folder.mkdir()
        (folder / "leaderboard.json").write_text(str(number))
        store.publish("quick", folder)
    for number, store in enumerate(stores):
        assert store.read_published("quick", "leaderboard.json") == str(number)


def test_ray_keeps_its_state_in_the_named_folder(stores):
    for store in stores:
        assert storage(store.scratch(DIGEST))["storage_path"] == f"{store.root}/unfinished/{DIGEST}"
