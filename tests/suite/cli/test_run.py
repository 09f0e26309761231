from __future__ import annotations

import json

import pytest


def test_missing_data_is_named_before_anything_is_written(latentprint, monkeypatch, tmp_path):
    monkeypatch.setenv("LATENTPRINT_DATA", str(tmp_path / "nowhere"))
    done = latentprint("run", "kuairand")
    assert done.code == 2
    assert f"{tmp_path}/nowhere/kuairand: no log_*.csv" in done.err
    assert list((tmp_path / "cwd").rglob("*")) == []


def test_a_relative_storage_is_refused_inside_a_ray_job(latentprint, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    for given in ([], ["--storage", "runs"]):
        done = latentprint("run", "quick", *given)
        assert done.code == 2
        assert "storage: found the relative path 'runs' inside a Ray job" in done.err
        assert "allowed: an absolute path or a URI, by --storage or LATENTPRINT_STORAGE" in done.err
    assert latentprint("run", "quick", "--dry-run", "--storage", tmp_path / "x").code == 0
    monkeypatch.setenv("LATENTPRINT_STORAGE", str(tmp_path / "y"))
    assert latentprint("run", "quick", "--dry-run").code == 0


def test_a_tracking_server_that_does_not_answer_is_named_before_any_cell(latentprint, tmp_path):
    uri = "http://user:secret@127.0.0.1:1"
    done = latentprint("run", "quick", "--tracking-uri", uri)
    assert done.code == 2
    assert "tracking store http://127.0.0.1:1 failed" in done.err
    assert "start one with `mlflow server" in done.err
    assert "secret" not in done.err
    assert list((tmp_path / "cwd").rglob("*")) == []


def test_a_cluster_that_does_not_answer_is_named_before_any_cell(shell, tmp_path):
    command = ("run", "quick", "--storage", tmp_path / "runs", "--address", "127.0.0.1:1")
    done = shell("-m", "suite", *command, timeout_s=60)
    assert done.code == 2
    assert "no Ray cluster at '127.0.0.1:1'" in done.err.splitlines()[-1]
    assert "start one with 'ray start --head'" in done.err
    assert "Traceback" not in done.err
    # The tracker's database was opened first, which shows that it could be.
    assert {path.name for path in (tmp_path / "runs").iterdir()} <= {"mlflow.db", "mlflow.db.lock"}


def test_a_dry_run_shows_cells_and_writes_nothing(latentprint, tmp_path):
    done = latentprint("run", "quick", "--dry-run")
    assert done.code == 0
    assert " ".join(done.out.split()).endswith("36 measure, 4 differences")
    counts = "1 features, 3 fit, 6 represent, 4 inputs, 9 utility, 56 attack, 4 strongest, 6 refer"
    assert f"36 cells, 125 steps; to run: {counts}" in " ".join(done.out.split())
    assert list((tmp_path / "cwd").rglob("*")) == []


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_data_that_is_wrong_ends_with_2_and_leaves_no_result(
    latentprint, suite_file, tiny, tmp_path
):
    suite = suite_file(datasets=[{tiny: {"events": 3}}])
    done = latentprint("run", suite, "--storage", tmp_path / "runs")
    assert done.code == 2
    (said,) = [line for line in done.err.splitlines() if line.startswith("latentprint: ")]
    assert "events.user_id: no user has 4 events in train and in test" in said
    assert "Traceback" not in done.err
    results = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert {path.name for path in results} == {"mlflow.db", "mlflow.db.lock"}


BROKEN = '''
import numpy as np

from models.logistic import Logistic


class Broken(Logistic):
    """Releases what cannot be ranked."""

    def represent(self, batch):
        return np.full((len(batch.labels), 3), np.nan, np.float32)
'''


@pytest.fixture(scope="module")
def diverged(suite_file, shell, tmp_path_factory):
    """A real run in which one training diverges and one model releases NaN."""
    folder = tmp_path_factory.mktemp("diverged")
    (folder / "broken.py").write_text(BROKEN)
    suite = suite_file(
        models=["logistic", "mlp", f"{folder}/broken.py:Broken"],
        training={"epochs": 2, "learning_rate": 1e30, "batch_size": 64, "user_cap": 16},
    )
    command = ("-m", "suite", "run", suite, "--storage", folder / "runs")
    return folder, shell(*command, timeout_s=300), shell(*command, "--dry-run")


@pytest.mark.cluster
def test_a_failed_cell_is_shown_with_its_reason_and_the_others_finish(diverged):
    folder, done, _ = diverged
    assert done.code == 1
    assert "Traceback" not in done.err + done.out
    board = json.loads((folder / "runs/suites/tiny/leaderboard.json").read_text())
    rows = {(row["model"], row["release"]): row for row in board["rows"]}
    broken = next(model for model, _ in rows if "Broken" in model)
    failed = {cell for cell, row in rows.items() if row["status"] == "failed"}
    assert failed == {("mlp", "model"), (broken, "model")}
    assert rows["mlp", "model"]["reason"].startswith("training diverged: ")
    assert "NaN or infinity" in rows[broken, "model"]["reason"]
    assert all(row["lift"] is not None for cell, row in rows.items() if cell not in failed)
    assert len(rows) == 6
    for cell in failed:
        assert "\n" not in rows[cell]["reason"]
        assert rows[cell]["reason"] in " ".join(done.err.split())


@pytest.mark.cluster
def test_a_failed_step_leaves_no_result_and_no_half_of_one(diverged):
    folder, _, _ = diverged
    results = [
        path for kind in ("fit", "attack", "measure") for path in (folder / "runs" / kind).iterdir()
    ]
    assert results
    assert all((path / "done.json").exists() for path in results)
    assert len(list((folder / "runs" / "fit").iterdir())) == 2


@pytest.mark.cluster
def test_the_leaderboard_is_read_back_in_every_format(diverged, latentprint):
    folder, _, _ = diverged
    storage = ("--storage", folder / "runs")
    published = folder / "runs/suites/tiny"
    for kind in ("json", "csv", "md"):
        done = latentprint("leaderboard", "--format", kind, *storage)
        assert (done.code, done.err) == (0, "")
        assert done.out == (published / f"leaderboard.{kind}").read_text()
    done = latentprint("leaderboard", "tiny", *storage)
    assert done.code == 0
    assert "4 of 6 cells done; SYNTHETIC users" in done.out
    assert "training diverged" in done.out
    done = latentprint("leaderboard", "tny", *storage)
    assert done.code == 2
    assert "no suite 'tny' has been run here; found: tiny" in done.err


@pytest.mark.cluster
def test_a_dry_run_shows_what_a_failure_left_to_do(diverged):
    _, _, dry_run = diverged
    assert dry_run.code == 0
    assert "6 cells" in dry_run.out
    # The broken model's fit and vectors are kept; what reads its vectors, which are NaN, failed.
    assert "to run: 1 fit, 1 represent, 2 utility, 2 attack, 2 measure" in dry_run.out
