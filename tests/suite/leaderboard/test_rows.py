import json
import random
from itertools import pairwise
from types import MappingProxyType

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from suite.leaderboard.claims import claims
from suite.leaderboard.rows import Leaderboard, Row

KEYS = [
    "dataset",
    "synthetic",
    "model",
    "seed",
    "release",
    "protocol",
    "defense",
    "attack",
    "releases_m",
    "attacker_holds",
    "status",
    "reason",
    "auc",
    "auc_low",
    "auc_high",
    "ap",
    "f1",
    "log_loss",
    "auc_own_head",
    "auc_refitted",
    "top1",
    "top1_low",
    "top1_high",
    "top5",
    "top10",
    "top20",
    "mrr",
    "mrr_low",
    "mrr_high",
    "mean_rank",
    "median_rank",
    "bits",
    "bits_low",
    "bits_high",
    "lift",
    "lift_low",
    "lift_high",
    "chance",
    "bound_top1",
    "bound_lift",
    "bound_reason",
    "raw_lift",
    "raw_by",
    "num_gallery",
    "num_probes",
    "num_dropped",
    "num_users_always",
    "num_users_never",
    "per_user_top1",
    "per_user_top1_low",
    "per_user_top1_high",
    "interval",
    "interval_reason",
    "num_parameters",
    "fit_s",
    "represent_s",
    "attack_s",
    "digest",
]

CELL = MappingProxyType(
    {
        "dataset": "readers",
        "synthetic": False,
        "model": "mlp",
        "seed": 0,
        "release": "model",
        "protocol": "rolling",
        "defense": "none",
        "attack": "cosine",
        "status": "done",
        "digest": "d0",
    }
)


def row(**changes):
    return Row(**{**CELL, **changes})


def board(*rows):
    return Leaderboard(suite="tiny", rows=rows)


def test_a_row_has_the_published_keys_in_their_order():
    assert list(row().model_dump()) == KEYS


@pytest.mark.parametrize(
    "changes",
    [
        {"recall": 0.5},
        {"status": "skipped"},
        {"auc": 1.01},
        {"auc": float("nan")},
        {"lift": float("inf")},
        {"mean_rank": 0.5},
        {"num_probes": -1},
        {"status": "failed"},
        {"top1": 0.3, "top5": 0.2},
        {"top1": 0.3, "mrr": 0.2},
        {"top1": 0.3, "chance": 0.01, "lift": 7.92},
        {"top1": 0.3, "chance": 0.01, "lift": 30.0, "top1_high": 0.4, "lift_high": 41.0},
        {"auc": 0.7, "auc_low": 0.71},
        {"auc": 0.7, "auc_high": 0.69},
        {"auc_low": 0.7, "auc_high": 0.6},
        {"lift": 7.92, "lift_low": 0.02, "lift_high": 5.0},
        {"mrr": 0.5, "mrr_low": 0.6, "mrr_high": 0.4},
        {"per_user_top1": 0.1, "per_user_top1_low": 0.2},
    ],
)
def test_a_row_that_no_cell_can_yield_is_refused(changes):
    with pytest.raises(ValidationError):
        row(**changes)


def test_a_row_whose_figures_agree_to_the_last_bit_is_taken():
    found = row(top1=0.1 + 0.2, top1_low=0.3, chance=1 / 3, lift=(0.1 + 0.2) * 3, lift_low=0.9)
    assert found.lift == pytest.approx(found.top1 / found.chance, rel=1e-15)


def test_a_row_cannot_be_changed():
    with pytest.raises(ValidationError):
        row().auc = 0.5


def test_rows_stand_in_one_order_whatever_order_cells_finish_in():
    rows = [
        row(seed=seed, model=model, digest=f"{seed}{model}")
        for seed in range(4)
        for model in ("mlp", "gbdt")
    ]
    shuffled = random.Random(3).sample(rows, len(rows))

    assert board(*shuffled) == board(*rows)
    assert board(*shuffled).to_json() == board(*rows).to_json()


def test_a_cell_may_appear_only_once():
    with pytest.raises(ValidationError, match="d0 appears twice"):
        board(row(), row())


@given(
    auc=st.floats(0, 1),
    lift=st.floats(0, 1e12),
    bits=st.floats(allow_nan=False, allow_infinity=False),
    reason=st.text(),
)
@settings(max_examples=50, deadline=None)
def test_json_gives_back_every_bit(auc, lift, bits, reason):
    original = board(row(auc=auc, lift=lift, bits=bits, reason=reason))
    again = Leaderboard.from_json(original.to_json())

    assert again == original
    assert again.to_json() == original.to_json()


def test_json_is_plain_and_has_one_object_per_cell():
    text = board(row(), row(seed=1, digest="d1", status="failed", reason="disk full")).to_json()
    data = json.loads(text)

    assert data["suite"] == "tiny"
    assert [list(cell) for cell in data["rows"]] == [KEYS, KEYS]
    assert data["rows"][1]["reason"] == "disk full"


@pytest.mark.parametrize("key", KEYS)
def test_only_seconds_are_left_out_of_a_comparison(key):
    other = {
        "synthetic": True,
        "status": "failed",
        "seed": 9,
        "reason": "none",
        "mean_rank": 2.0,
        "median_rank": 2.0,
        "interval": "unreliable",
        "attacker_holds": "undefended",
        "interval_reason": "few",
    }
    texts = {
        "dataset",
        "model",
        "release",
        "protocol",
        "defense",
        "attack",
        "digest",
        "raw_by",
        "bound_reason",
    }
    base = {"reason": "", **({"reason": "x"} if key == "status" else {})}
    value = other.get(key, "other" if key in texts else 1)

    same = board(row(**base)).equal(board(row(**{**base, key: value})))

    assert same == key.endswith("_s")


def test_an_edited_file_is_noticed():
    text = board(row(lift=10.0)).to_json().replace('"lift": 10.0', '"lift": 1.0')
    with pytest.raises(ValueError, match="edited"):
        Leaderboard.from_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ('{"suite": "tiny"}', "rows: Field required"),
        ('{"suite": "tiny", "rows": 3}', "rows: "),
        ('{"suite": "tiny", "rows": [{"dataset": 3}]}', r"rows\.0\.dataset: .*got 3"),
        ('{"suite": "tiny", "rows": [], "more": 1}', "more: "),
    ],
)
def test_a_file_that_is_no_leaderboard_gets_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        Leaderboard.from_json(text)
    assert "\n" not in str(caught.value)


def test_versions_are_kept_but_not_compared():
    old, new = (Leaderboard(suite="tiny", rows=[row()], versions={"torch": v}) for v in "12")
    assert old.equal(new)
    assert Leaderboard.from_json(old.to_json()).versions == {"torch": "1"}


def test_claims_agree_with_themselves():
    claimed = claims("ebnerd")
    for claim in claimed.rows:
        # Top-1 is given in percent with two decimals, so the lift is known to half of that.
        assert claim.lift == pytest.approx(claim.top1 * claim.num_gallery, abs=0.00005 * 28_361)
        assert claim.chance == pytest.approx(1 / claim.num_gallery, abs=5e-7)
        assert claim.num_users_always + claim.num_users_never < claim.num_gallery
        assert all(a < b for a, b in pairwise((claim.top1, claim.top5, claim.top10, claim.top20)))
    best = {claim.model: claim for claim in claimed.rows if claim.attack == "cosine"}
    assert best["bilstm"].top1 / best["mlp"].top1 == pytest.approx(9.1, abs=0.05)
    assert best["bilstm"].mrr / best["mlp"].mrr == pytest.approx(7.6, abs=0.05)
    assert best["bilstm"].auc - best["mlp"].auc == pytest.approx(0.0052, abs=1e-9)
    assert best["bilstm"].f1 - best["mlp"].f1 == pytest.approx(0.0253, abs=1e-9)


def test_every_claim_says_that_it_is_one():
    claimed = claims("ebnerd")
    assert all(claim.digest.startswith("claimed") for claim in claimed.rows)
    challenge = [b for b in claimed.benchmarks if "RecSys" in b.method]
    assert len(challenge) == 3
    assert all("contradicted by the public record" in b.note for b in challenge)


def test_a_suite_without_claims_has_none():
    assert claims("quick") is None


def test_a_frame_has_a_type_for_each_key_whatever_the_rows_hold():
    rows = [row(releases_m=m, digest=str(m)) for m in ("all", 3, None)]
    frame = board(*rows).frame()
    assert frame.columns == KEYS
    assert sorted(frame["releases_m"].drop_nulls()) == ["3", "all"]
    assert frame["seed"].dtype == frame["num_probes"].dtype == pl.Int64
    assert board().frame().schema == frame.schema
