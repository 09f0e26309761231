from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from suite.artifacts.figures import Measures
from suite.artifacts.outcome import Outcome
from suite.artifacts.predictions import Predictions
from suite.leaderboard.rows import Row
from suite.steps.measure import best, measure

RANKS = [(1, 0, 0), (1, 0, 0), (2, 1, 0), (2, 3, 0), (3, 0, 1), (3, 2, 0)]
"""User, others ahead and others tied of six probes, in a gallery of four users."""


def outcome(ranks=RANKS, *, num_gallery: int = 4, best_score: float = math.nan) -> Outcome:
    user, greater, equal = (np.array(column) for column in zip(*ranks, strict=True))
    probes = pl.DataFrame(
        {
            "event_id": np.arange(len(ranks)),
            "user_id": user,
            "greater": greater.astype(np.int32),
            "equal": equal.astype(np.int32),
            "best": np.full(len(ranks), best_score, np.float32),
        }
    )
    return Outcome(probes, num_gallery=num_gallery, num_dropped=5)


def predictions(**row) -> Predictions:
    figures = {"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "auc_doubt": "auc: few users"}
    return Predictions(figures | {"num_parameters": 7} | row, {"utility/rce": 3.0})


def test_reidentification_is_what_one_works_out_by_hand():
    row = measure(outcome()).row
    expected = {
        "top1": (1 + 1 + 0 + 0 + 1 / 2 + 0) / 6,
        "mrr": (1 + 1 + 1 / 2 + 1 / 4 + (1 + 1 / 2) / 2 + 1 / 3) / 6,
        "mean_rank": (1 + 1 + 2 + 4 + 1.5 + 3) / 6,
        "median_rank": (1.5 + 2) / 2,
        "bits": 2 - (0 + 0 + 1 + 2 + 1 / 2 + math.log2(3)) / 6,
        "lift": 4 * 2.5 / 6,
        "chance": 1 / 4,
        "per_user_top1": (1 + 0 + 1 / 4) / 3,
        "num_gallery": 4,
        "num_probes": 6,
        "num_dropped": 5,
        "num_users_always": 1,
        "num_users_never": 1,
    }
    assert {key: row[key] for key in expected} == pytest.approx(expected)
    assert row["top5"] is row["top10"] is row["top20"] is None


def test_the_bound_of_every_attacker_is_in_the_row_or_why_there_is_none():
    row = measure(replace(outcome(), bound_top1=0.5)).row
    assert (row["bound_top1"], row["bound_lift"], row["bound_reason"]) == (0.5, 2.0, None)
    row = measure(replace(outcome(), unbounded="no noise")).row
    assert (row.get("bound_top1"), row["bound_reason"]) == (None, "no noise")


def test_what_a_fit_notes_stands_in_the_row():
    row = measure(outcome(), predictions(note="trained with care")).row
    assert row["reason"].endswith("trained with care")
    assert "note" not in row
    plain = measure(outcome(), predictions(note=None)).row
    assert "note" not in plain
    assert "care" not in plain.get("reason", "")


def test_the_figures_hold_the_keys_of_a_row_which_they_can_become():
    row = measure(outcome(), predictions()).row
    names = dict.fromkeys(("dataset", "model", "release", "protocol", "defense", "attack"), "x")
    shown = {key: value for key, value in row.items() if key in Row.model_fields}
    shares = {f"share_{who}{end}" for who in ("always", "never") for end in ("", "_low", "_high")}
    assert row.keys() - shown.keys() == {"bits_chance", "num_users"} | shares
    Row(**names, synthetic=True, seed=0, status="done", digest="d", **shown)


def test_intervals_hold_the_figure_and_lift_is_top1_times_the_gallery():
    rng = np.random.default_rng(0)
    ranks = [(user, int(rng.integers(3)), 0) for user in range(60) for _ in range(5)]
    row = measure(outcome(ranks, num_gallery=60)).row
    for key in ("top1", "mrr", "lift", "per_user_top1"):
        assert row[f"{key}_low"] < row[key] < row[f"{key}_high"]
    for end in ("low", "high"):
        assert row[f"lift_{end}"] == pytest.approx(60 * row[f"top1_{end}"])


def test_bits_have_bounds_in_bits():
    rng = np.random.default_rng(0)
    ranks = [(user, int(rng.integers(60)), 0) for user in range(60) for _ in range(5)]
    row = measure(outcome(ranks, num_gallery=60)).row
    assert row["bits_low"] < row["bits"] < row["bits_high"] <= math.log2(60)
    # At least twice the standard error of the users' means either way, and little more.
    means = [np.mean([math.log2(g + 1) for _, g, _ in ranks[i : i + 5]]) for i in range(0, 300, 5)]
    ratio = (row["bits_high"] - row["bits_low"]) / (4 * np.std(means) / 60**0.5)
    assert 1 < ratio < 1.25


def test_a_row_whose_active_users_are_identified_more_often_is_marked():
    many = [(user, 0, 0) for user in range(10) for _ in range(180 + 2 * user)]
    few = [(user, 0 if user % 9 == 0 else user % 7 + 1, 0) for user in range(10, 310)] * 4
    row = measure(outcome(many + few, num_gallery=310)).row
    assert row["interval"] == "unreliable"
    assert row["interval_reason"].startswith("top1, mrr, bits: differs between active and other")
    assert measure(outcome(few, num_gallery=310)).row["interval"] == "ok"


def test_what_the_vectors_are_worth_stands_in_the_row_and_beside_it():
    found = measure(outcome(), predictions())
    assert found.row["auc"] == 0.7
    assert found.extra["utility/rce"] == 3.0
    assert "auc_doubt" not in found.row
    assert found.row["interval_reason"].endswith("auc: few users")
    assert measure(outcome()).row.keys() == found.row.keys() - predictions().row.keys()


@pytest.mark.parametrize("flagged", [False, True])
def test_a_lift_whose_interval_lies_below_chance_is_flagged(flagged):
    """2 or 10 % of 4,000 probes of 400 users at rank 1 of a gallery of 20: chance is 5 %."""
    rng = np.random.default_rng(0)
    hit = rng.random(4000) < (0.02 if flagged else 0.1)
    ranks = [(number % 400, 0 if hit[number] else 10, 0) for number in range(4000)]
    row = measure(outcome(ranks, num_gallery=20)).row
    assert (row["lift_high"] < 1) == flagged
    assert ("below chance" in row.get("reason", "")) == flagged


def test_probes_of_unknown_users_are_no_misses():
    with_unknown = [*RANKS, (9, 4, 0), (9, 4, 0)]
    row = measure(outcome(with_unknown, best_score=0.5)).row
    known = measure(outcome()).row
    assert row == known


def test_every_user_has_a_row_of_risk():
    users = measure(outcome()).users.sort("user_id")
    assert users["user_id"].to_list() == [1, 2, 3]
    assert users["num_probes"].to_list() == [2, 2, 2]
    assert users["top1"].to_list() == [1, 0, 0.25]
    assert users["mean_rank"].to_list() == [1, 3, 2.25]
    assert users["always"].to_list() == [True, False, False]
    assert users["never"].to_list() == [False, True, False]


def test_the_best_attack_is_chosen_on_validation_and_reported_on_test():
    weak, strong = outcome(), outcome([(user, 0, 0) for user, *_ in RANKS])
    first, second = (measure(o) for o in (strong, weak))
    # On validation the second is the stronger one, although it is the weaker one on test.
    chosen = best(weak, strong, first, second, candidates=["cosine", "euclidean"])
    assert chosen.row == second.row | {"reason": "strongest on validation: euclidean"}
    assert best(weak, weak, first, second, candidates=["a", "b"]).row["lift"] == first.row["lift"]


def test_what_is_saved_is_loaded(tmp_path):
    measures = measure(outcome(), predictions())
    measures.save(tmp_path)
    again = Measures.load(tmp_path)
    assert (again.row, again.extra) == (measures.row, measures.extra)
    assert again.users.equals(measures.users)
