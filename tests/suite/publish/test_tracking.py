import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

from suite.leaderboard.rows import Leaderboard, Row
from suite.publish import report, tracking
from suite.training.accounting import Guarantee

SUITE_DIGEST = "5" * 64


def row(number, **changes):
    base = {
        "dataset": "readers",
        "synthetic": True,
        "model": "mlp",
        "seed": number,
        "release": "model",
        "protocol": "rolling",
        "defense": "none",
        "attack": "cosine",
        "status": "done",
        "auc": 0.7 + number / 1000,
        "ap": 0.6,
        "f1": 0.5,
        "log_loss": 0.65,
        "top1": 0.1 / 3,
        "top5": 0.05,
        "top10": 0.06,
        "top20": 0.07,
        "mrr": 0.04,
        "mean_rank": 123.25,
        "median_rank": 80.5,
        "lift": 100 / 3,
        "lift_low": 30.1,
        "lift_high": 37.9,
        "chance": 0.001,
        "raw_lift": 70.0,
        "num_gallery": 1000,
        "per_user_top1": 0.03,
        "digest": f"cell{number}",
    }
    return Row(**{**base, **changes})


def failed(number, reason="worker died"):
    names = ("dataset", "synthetic", "model", "seed", "release", "protocol", "defense", "attack")
    done = row(number)
    cell = {name: getattr(done, name) for name in names}
    return Row(**cell, status="failed", reason=reason, digest=done.digest)


def board(*rows):
    return Leaderboard(suite="tiny", rows=rows)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Create an empty database once: that takes MLflow seconds."""
    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    tracking.check(f"sqlite:///{file}")
    return file


@pytest.fixture
def store(tmp_path, empty):
    """Records leaderboards in a SQLite file of its own, and reads its runs back."""
    (tmp_path / "runs").mkdir()
    shutil.copy(empty, tmp_path / "runs")
    return Store(tmp_path, f"sqlite:///{tmp_path}/runs/mlflow.db")


class Store:
    def __init__(self, folder, uri):
        self.folder, self.uri = folder, uri

    def record(self, leaderboard, **options):
        report.write(leaderboard, self.folder / "files")
        options = {"suite_digest": SUITE_DIGEST, **options}
        return tracking.record(
            leaderboard, uri=self.uri, artifacts=self.folder / "files", **options
        )

    @contextmanager
    def client(self):
        with tracking._client(self.uri) as client:
            yield client

    def runs(self, suite="tiny"):
        with self.client() as client:
            experiment = client.get_experiment_by_name(suite)
            return list(client.search_runs([experiment.experiment_id], max_results=1000))

    def children(self, parent):
        found = [run for run in self.runs() if run.data.tags.get("mlflow.parentRunId") == parent]
        return {run.data.tags["latentprint.digest"]: run for run in found}


def seen(runs):
    """Return everything of the runs that a second recording must leave as it is."""
    return sorted((run.info.run_id, str(run.to_dictionary())) for run in runs)


def agree(run, cell):
    shown = run.data.metrics
    expected = {
        "utility/auc": cell.auc,
        "utility/ap": cell.ap,
        "utility/f1": cell.f1,
        "utility/log_loss": cell.log_loss,
        "reid/top1": cell.top1,
        "reid/top5": cell.top5,
        "reid/top10": cell.top10,
        "reid/top20": cell.top20,
        "reid/mrr": cell.mrr,
        "reid/mean_rank": cell.mean_rank,
        "reid/median_rank": cell.median_rank,
        "reid/lift": cell.lift,
        "reid/lift_low": cell.lift_low,
        "reid/lift_high": cell.lift_high,
        "reid/chance": cell.chance,
        "reid/raw_lift": cell.raw_lift,
    }
    assert shown == {key: value for key, value in expected.items() if value is not None}
    assert run.data.params == {
        key: str(getattr(cell, key))
        for key in ("dataset", "model", "seed", "release", "protocol", "defense", "attack")
    }
    assert run.info.status == {"done": "FINISHED", "failed": "FAILED"}[cell.status]
    assert run.data.tags["latentprint.reason"] == (cell.reason or "")
    assert run.data.tags["latentprint.synthetic"] == "true"


def test_what_mlflow_shows_is_what_the_leaderboard_holds(store):
    leaderboard = board(row(0), row(1, release="raw", auc=None, raw_lift=None), failed(2))
    parent = store.record(leaderboard)
    children = store.children(parent)

    assert children.keys() == {"cell0", "cell1", "cell2"}
    for cell in leaderboard.rows:
        agree(children[cell.digest], cell)
    assert len(store.runs()) == 1 + 3
    with store.client() as client:
        assert client.get_run(parent).info.status == "FAILED"


def test_a_defended_cell_has_its_number_of_releases_and_both_heads(store):
    known = {"defense": "gaussian", "releases_m": 10, "attacker_holds": "undefended"}
    cell = row(0, **known, auc_own_head=0.6, auc_refitted=0.7)
    (run,) = store.children(store.record(board(cell))).values()
    assert {key: run.data.params[key] for key in known} == {k: str(v) for k, v in known.items()}
    assert run.data.metrics["utility/auc_own_head"] == 0.6
    assert run.data.metrics["utility/auc_refitted"] == 0.7
    assert run.info.run_name.endswith("seed 0 10 releases undefended gallery")


def test_the_parent_holds_the_four_files(store):
    leaderboard = board(row(0))
    parent = store.record(leaderboard)
    with store.client() as client:
        names = {item.path for item in client.list_artifacts(parent)}
    files = {
        path.name: path.read_bytes() for path in (store.folder / "runs").rglob("leaderboard.*")
    }

    assert (
        names == files.keys() == {f"leaderboard.{kind}" for kind in ("json", "csv", "md", "html")}
    )
    assert Leaderboard.from_json(files["leaderboard.json"].decode()) == leaderboard


def test_artifacts_lie_beside_the_database_and_not_in_the_working_directory(store, monkeypatch):
    elsewhere = store.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    store.record(board(row(0)))
    assert list(elsewhere.iterdir()) == []
    assert (store.folder / "runs" / "mlartifacts").is_dir()


def test_a_second_recording_changes_nothing(store):
    leaderboard = board(row(0), failed(1))
    parent = store.record(leaderboard)
    before = seen(store.runs())

    assert store.record(leaderboard) == parent
    assert seen(store.runs()) == before


def test_a_killed_recording_is_completed_without_duplicates(store, monkeypatch):
    leaderboard = board(*map(row, range(4)))
    with store.client() as client:
        kind = type(client)
    for method, survivors in (("log_batch", 1), ("set_terminated", 2), ("log_artifact", 0)):
        original, calls = getattr(kind, method), []

        def killed(*args, _original=original, _calls=calls, _survivors=survivors, **kwargs):
            _calls.append(1)
            if len(_calls) > _survivors:
                raise KeyboardInterrupt
            return _original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(kind, method, killed)
            with pytest.raises(KeyboardInterrupt):
                store.record(leaderboard)

    parent = store.record(leaderboard)
    children = store.children(parent)

    assert len(store.runs()) == 1 + 4
    for cell in leaderboard.rows:
        agree(children[cell.digest], cell)
        with store.client() as client:
            assert (
                len(client.get_metric_history(children[cell.digest].info.run_id, "reid/lift")) == 1
            )
    with store.client() as client:
        assert client.get_run(parent).info.status == "FINISHED"
        assert len(client.list_artifacts(parent)) == 4


def test_continuing_adds_what_was_missing_to_the_same_parent(store):
    first = store.record(board(row(0), failed(1)))
    untouched = seen([store.children(first)["cell0"]])
    second = store.record(board(row(0), row(1), row(2)))
    children = store.children(second)

    assert first == second
    assert len(store.runs()) == 1 + 3
    assert seen([children["cell0"]]) == untouched
    agree(children["cell1"], row(1))
    agree(children["cell2"], row(2))


def test_another_suite_file_gets_another_parent(store):
    leaderboard = board(row(0))
    assert store.record(leaderboard) != store.record(leaderboard, suite_digest="6" * 64)
    assert len(store.runs()) == 4


def test_extra_metrics_go_to_their_cell(store):
    values = {"utility/rce": 3.5, "train/examples_per_s": 1e5, "attack/pairs_per_s": 2e9}
    parent = store.record(board(row(0), row(1)), extra={"cell1": values})
    children = store.children(parent)

    assert values.items() <= children["cell1"].data.metrics.items()
    assert not values.keys() & children["cell0"].data.metrics.keys()


def test_the_guarantee_of_private_training_goes_to_its_cell(store):
    facts = Guarantee("user", 2.0, 1e-5, 1.0, 0.02, 184, group_size=1).facts
    parent = store.record(board(row(0)), extra={"cell0": facts})
    assert facts.items() <= store.children(parent)["cell0"].data.metrics.items()


def test_an_unknown_extra_metric_is_refused(store):
    with pytest.raises(ValueError, match=r"found unknown \['reid/user7'\], allowed: "):
        store.record(board(row(0)), extra={"cell0": {"reid/user7": 1.0}})


def test_per_user_results_are_not_logged(store):
    parent = store.record(board(row(0)))
    assert not any("user" in key for key in store.children(parent)["cell0"].data.metrics)


def test_a_deleted_experiment_is_named_with_how_to_restore_it(store):
    store.record(board(row(0)))
    with store.client() as client:
        client.delete_experiment(client.get_experiment_by_name("tiny").experiment_id)
    with pytest.raises(ValueError, match=r"'tiny' at sqlite:.* was deleted; restore it with"):
        store.record(board(row(0)))


def test_missing_files_are_named_before_anything_is_recorded(tmp_path):
    uri = f"sqlite:///{tmp_path}/runs/mlflow.db"
    with pytest.raises(ValueError, match=r"\['leaderboard\.json'.* missing in "):
        tracking.record(board(row(0)), uri=uri, suite_digest=SUITE_DIGEST, artifacts=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", [None, ""])
def test_no_uri_is_refused(uri):
    with pytest.raises(ValueError, match=r"^no tracking URI; give one, such as sqlite:///[^\n]*$"):
        tracking.check(uri)


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_an_unreachable_server_is_named_without_its_password(closed_port, capfd):
    uri = f"http://reader:s3cr%2Ft@127.0.0.1:{closed_port}"
    with pytest.raises(ValueError, match=r"is it running.*mlflow server --host") as caught:
        tracking.check(uri)
    printed = "".join(capfd.readouterr())

    assert f"http://127.0.0.1:{closed_port} failed" in str(caught.value)
    assert "\n" not in str(caught.value)
    for text in (str(caught.value), printed):
        assert "s3cr" not in text
        assert "reader" not in text
    assert caught.value.__suppress_context__


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "mlflow.db").write_text("a poem, at least a hundred characters long\n" * 9)
    with pytest.raises(ValueError, match=r"mlflow\.db failed .*: is it sqlite:///FILE"):
        tracking.check(f"sqlite:///{tmp_path}/mlflow.db")


def test_the_environment_and_the_terminal_stay_as_they_were(tmp_path, capfd):
    before = dict(os.environ)
    tracking.check(f"sqlite:///{tmp_path}/new/mlflow.db")
    assert dict(os.environ) == before
    assert "".join(capfd.readouterr()) == ""


def test_settings_of_the_user_win(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    with tracking._environment(tracking._CHECK):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_importing_the_module_does_not_import_mlflow():
    code = "import sys, suite.publish.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_a_real_server_shows_the_same(tmp_path, empty, capfd):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    shutil.copy(empty, tmp_path)
    stores = ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    stores += ["--artifacts-destination", str(tmp_path / "artifacts")]
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, *stores],
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        uri = f"http://127.0.0.1:{port}"
        wait_for(f"{uri}/health", server)
        store = Store(tmp_path, uri.replace("//", "//reader:s3cret@"))
        leaderboard = board(row(0), row(1), failed(2))
        parent = store.record(leaderboard)
        children = store.children(parent)
        before = seen(store.runs())
        store.record(leaderboard)

        for cell in leaderboard.rows:
            agree(children[cell.digest], cell)
        assert seen(store.runs()) == before
        assert len(before) == 1 + 3
        page = f"{uri}/get-artifact?path=leaderboard.json&run_uuid={parent}"
        with urllib.request.urlopen(page, timeout=30) as answer:
            assert Leaderboard.from_json(answer.read().decode()) == leaderboard
        assert "s3cret" not in "".join(capfd.readouterr())
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url, server):
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server does not answer")
