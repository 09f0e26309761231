"""The strongest of several is chosen on validation and reported on test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from suite.artifacts.figures import Reference
from suite.artifacts.outcome import Outcome
from suite.steps.comparisons.strongest import reference, strongest, top1, top1_alike
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


def test_a_smaller_gallery_alone_is_no_strength():
    large, small = outcome(10, num_gallery=40), outcome(12, num_gallery=20)
    ahead = large.probes.with_columns(
        greater=pl.when(pl.col("greater") == 5).then(1).otherwise("greater").cast(pl.Int32)
    )
    large = replace(large, probes=ahead)
    # In a gallery of 20 of the 40, a single rival ahead is drawn in 19 of 39 cases.
    assert top1_alike([large, small])[0] == pytest.approx((10 + 30 * 20 / 39) / 40)
    assert top1(large) < top1(small) < top1_alike([large, small])[0]
    found = strongest(large, small, *TEST[:2], candidates=NAMES[:2])
    assert found.chosen == NAMES[0]
