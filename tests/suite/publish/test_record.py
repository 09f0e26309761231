from __future__ import annotations

import shutil

import polars as pl
import pytest

from suite.artifacts.figures import Measures, Reference
from suite.leaderboard.rows import Leaderboard
from suite.plan.plan import plans
from suite.publish import record, tracking
from suite.spec import Suite
from suite.store.results import Store

CELL = {"top1": 0.05, "mrr": 0.6, "lift": 5.0, "chance": 0.01, "num_gallery": 100, "num_probes": 40}
USERS = pl.DataFrame({"user_id": [1], "top1": [0.5]})


@pytest.fixture
def cells():
    suite = {
        "suite": "small",
        "datasets": [{"synthetic": {"users": 10}}],
        "models": ["logistic"],
        "releases": ["model", "raw"],
        "protocols": ["static", "rolling"],
        "attacks": ["cosine"],
    }
    return plans(Suite.model_validate(suite))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "runs"))


@pytest.fixture(autouse=True)
def tracked(monkeypatch):
    """What the tracker was given."""
    calls = []
    monkeypatch.setattr(
        tracking, "record", lambda board, **keys: calls.append({"board": board} | keys)
    )
    return calls


def finish(store, plan, lift, extra=(), *, seconds=2.0, **other):
    """Put the results of a cell into the store, as its steps would."""
    for step in plan.timed.values():
        if not store.has(step.kind, step.digest):
            with store.writing(step.kind, step.digest, {"seconds": seconds}):
                pass
    row = CELL | {"top1": lift * CELL["chance"], "lift": lift} | other
    with store.writing(plan.last.kind, plan.last.digest, {"seconds": 0.1}) as folder:
        Measures(row, dict(extra), USERS).save(folder)
    if plan.reference is not None and not store.has("reference", plan.reference.digest):
        with store.writing("reference", plan.reference.digest, {"seconds": 0.1}) as folder:
            Reference(10 * lift, "aggregates, cosine").save(folder)


def by_cell(board):
    return {(row.release, row.protocol): row for row in board.rows}


def test_every_cell_is_a_row_with_its_names_figures_and_seconds(cells, store):
    for lift, plan in enumerate(cells):
        finish(store, plan, float(lift))
    board = record.record("small", cells, [], store, {}, "sqlite:///x")
    rows = by_cell(board)
    assert len(rows) == 4
    assert all(row.status == "done" and row.reason is None for row in board.rows)
    for lift, plan in enumerate(cells):
        row = rows[plan.names["release"], plan.names["protocol"]]
        assert (row.lift, row.digest, row.synthetic) == (lift, plan.digest, True)
        assert (row.represent_s, row.attack_s) == (2.0, 2.0)
        assert row.fit_s == (2.0 if row.release == "model" else None)


def test_a_models_row_has_the_strongest_reading_of_its_inputs_in_its_own_protocol(cells, store):
    lifts = dict(zip([("model", "static"), ("model", "rolling")], (20.0, 3.0), strict=True))
    lifts |= {("raw", "static"): 25.0, ("raw", "rolling"): 2.0}
    for plan in cells:
        finish(store, plan, lifts[plan.names["release"], plan.names["protocol"]])
    rows = by_cell(record.record("small", cells, [], store, {}, "sqlite:///x"))
    assert (rows["model", "static"].raw_lift, rows["model", "rolling"].raw_lift) == (200.0, 30.0)
    assert rows["model", "static"].raw_by == "aggregates, cosine"
    assert rows["raw", "static"].raw_lift is rows["raw", "static"].raw_by is None


def test_a_row_whose_inputs_could_not_be_read_says_so_and_is_done(cells, store):
    for plan in cells:
        finish(store, plan, 2.0)
    model = next(p for p in cells if p.names["release"] == "model")
    failures = {model.reference.digest: "no probe is left"}
    rows = by_cell(record.record("small", cells, [], store, failures, "sqlite:///x"))
    row = rows["model", model.names["protocol"]]
    assert (row.status, row.lift, row.raw_lift, row.raw_by) == ("done", 2.0, None, None)
    assert row.reason == "no lift of the model's inputs: no probe is left"


def test_a_failed_step_fails_the_cells_that_need_it_with_its_reason(cells, store):
    fit = next(step for step in cells[0].last.chain() if step.kind == "fit")
    for plan in cells:
        if plan.names["release"] == "raw":
            finish(store, plan, 1.0)
    board = record.record("small", cells, [], store, {fit.digest: "it diverged"}, "sqlite:///x")
    rows = by_cell(board)
    for protocol in ("static", "rolling"):
        failed = rows["model", protocol]
        assert (failed.status, failed.reason, failed.lift) == ("failed", "it diverged", None)
        assert rows["raw", protocol].status == "done"
    assert len(board.failed) == 2


def test_the_first_of_several_reasons_is_given(cells, store):
    chain = list(cells[0].last.chain())
    failures = {step.digest: f"{step.kind} failed" for step in chain if step.kind != "features"}
    board = record.record("small", cells[:1], [], store, failures, "sqlite:///x")
    assert board.rows[0].reason == "fit failed"


def test_a_cell_whose_figures_contradict_each_other_fails_alone(cells, store):
    for plan in cells:
        finish(store, plan, 1.0, **({"top1": 0.3} if plan is cells[0] else {}))
    board = record.record("small", cells, [], store, {}, "sqlite:///x")
    (failed,) = board.failed
    assert failed.digest == cells[0].digest
    assert failed.reason == "measured figures are inconsistent: lift must be top1 / chance"


def test_the_files_are_published_and_read_back(cells, store):
    for plan in cells:
        finish(store, plan, 1.0)
    board = record.record("small", cells, [], store, {}, "sqlite:///x")
    for kind in ("json", "csv", "md", "html"):
        assert store.read_published("small", f"leaderboard.{kind}")
    again = Leaderboard.from_json(store.read_published("small", "leaderboard.json"))
    assert again.equal(board)


def test_the_tracker_gets_speeds_and_extra_figures_but_no_user(cells, store, tracked):
    for plan in cells:
        finish(store, plan, 1.0, {"utility/rce": 3.0})
    record.record("small", cells, [], store, {}, "sqlite:///x")
    (call,) = tracked
    assert call["uri"] == "sqlite:///x"
    assert call["extra"].keys() == {plan.digest for plan in cells}
    for figures in call["extra"].values():
        assert figures == {"utility/rce": 3.0, "attack/pairs_per_s": 40 * 100 / 2.0}


def test_the_suite_is_known_by_its_cells_in_any_order(cells, store, tracked):
    for plan in cells:
        finish(store, plan, 1.0)
    record.record("small", cells, [], store, {}, "sqlite:///x")
    record.record("small", cells[::-1], [], store, {}, "sqlite:///x")
    record.record("small", cells[:3], [], store, {}, "sqlite:///x")
    first, same, other = (call["suite_digest"] for call in tracked)
    assert first == same != other


def test_seconds_of_discarded_intermediate_results_are_null(cells, store, tracked):
    finish(store, cells[0], 1.0)
    shutil.rmtree(store.path("attack", cells[0].timed["attack"].digest))
    board = record.record("small", cells[:1], [], store, {}, "sqlite:///x")
    assert board.rows[0].attack_s is None
    assert board.rows[0].lift == 1.0
    assert tracked[0]["extra"][cells[0].digest] == {}
