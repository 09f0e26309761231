"""The strongest of several is chosen on validation and reported on test."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from suite.artifacts.figures import Reference
from suite.artifacts.outcome import Outcome
from suite.steps.comparisons.strongest import reference, strongest
from suite.steps.measure import measure


def outcome(hits: int, *, n: int = 40, num_gallery: int = 10) -> Outcome:
    """So many of n probes are at rank 1; one more is of somebody unknown."""
    greater = np.where(np.arange(n + 1) < hits, 0, 5).astype(np.int32)
    greater[-1] = num_gallery
    probes = pl.DataFrame(
        {
            "event_id": np.arange(n + 1),
            "user_id": np.arange(n + 1) % num_gallery,
            "greater": greater,
            "equal": np.zeros(n + 1, np.int32),
            "best": np.zeros(n + 1, np.float32),
        }
    )
    return Outcome(probes, num_gallery=num_gallery, num_dropped=0)


VALIDATION = [outcome(4), outcome(30), outcome(30), outcome(9)]
TEST = [outcome(40), outcome(8), outcome(20), outcome(2)]
NAMES = ["aggregates, cosine", "sequence, cosine", "all, cosine", "all, euclidean"]


def test_validation_chooses_the_first_of_the_best_and_test_is_reported(tmp_path):
    found = strongest(*VALIDATION, *TEST, candidates=NAMES)
    assert found.chosen == "sequence, cosine"
    assert found.probes.equals(TEST[1].probes)
    found.save(tmp_path)
    assert Outcome.load(tmp_path).chosen == found.chosen
    row = measure(found).row
    assert row["reason"] == "strongest on validation: sequence, cosine"


def test_a_reference_is_the_lift_of_that_choice_over_known_probes(tmp_path):
    found = reference(*VALIDATION, *TEST, candidates=NAMES)
    assert found == Reference(lift=pytest.approx(8 / 40 * 10), by="sequence, cosine")
    assert found.lift == pytest.approx(measure(TEST[1]).row["lift"])
    found.save(tmp_path)
    assert Reference.load(tmp_path) == found
