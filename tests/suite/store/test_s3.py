"""A suite whose results are kept in an object store, against a real S3 server on this machine."""

import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from suite.leaderboard.rows import Leaderboard
from suite.plan.kinds import KINDS
from suite.store import checkpoints
from suite.store.results import MARKER, Store
from tests.processes import finish, kill, start, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

SUITE = {
    "suite": "small",
    "datasets": [{"synthetic": {"users": 200}}],
    "training": {"epochs": 12, "patience": 12},
    "models": ["logistic", {"mlp": {"dropout": 0.0}}],
    "releases": ["model", "raw"],
    "protocols": ["rolling"],
    "attacks": ["cosine"],
    "bootstrap": 100,
}


@pytest.fixture(scope="module")
def small_suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "small.yaml"
    path.write_text(yaml.safe_dump(SUITE))
    return path


@pytest.fixture(scope="module")
def bare(small_suite, tmp_path_factory):
    """Leaderboard of a run whose results lie in a folder."""
    storage = tmp_path_factory.mktemp("bare")
    ran = finish("run", small_suite, "--storage", storage)
    assert ran.returncode == 0, ran.stderr
    return Leaderboard.from_json(Store(str(storage)).read_published("small", "leaderboard.json"))


@pytest.fixture
def machine(s3, tmp_path):
    """Environment of a machine that has seen none of the results."""
    # Ray would put its sockets there, whose paths may have 107 characters.
    return {
        **s3,
        "TMPDIR": tmp_path,
        "RAY_TMPDIR": "/tmp",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }


def marked(store):
    """Kind and digest of every result that counts."""
    return {
        tuple(path.split("/")[-3:-1])
        for path in store.fs.find(store.root)
        if path.endswith(f"/{MARKER}")
    }


def assert_whole(store, results):
    """Read every result, as another machine would."""
    for kind, digest in results:
        if kind in KINDS:
            KINDS[kind].load(store.path(kind, digest))


def test_a_suite_killed_in_a_fit_goes_on_from_the_object_store_with_the_same_command(
    bare, machine, small_suite, tmp_path, monkeypatch
):
    url = f"s3://results/{tmp_path.name}"
    store = Store(url)
    command = ("run", small_suite, "--storage", url)

    first = start(sys.executable, "-m", "suite", *command, **machine)
    wait_until(
        lambda: (
            first.poll() is not None
            or any(p.endswith("/checkpoint.pt") for p in store.fs.find(f"{store.root}/unfinished"))
        )
    )
    assert first.poll() is None, first.communicate()
    os.kill(first.pid, signal.SIGKILL)
    kill(first)
    (unfinished,) = store.fs.find(f"{store.root}/unfinished")
    epoch = checkpoints.load(f"s3://{unfinished}")["epoch"]
    assert 0 < epoch < SUITE["training"]["epochs"]
    before = {at: store.fs.info("/".join((store.root, *at, MARKER))) for at in marked(store)}
    (tmp_path / "seen").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "seen"))
        assert_whole(store, before)

    (tmp_path / "elsewhere").mkdir()
    second = finish(*command, **{**machine, "TMPDIR": tmp_path / "elsewhere"})
    assert second.returncode == 0, second.stderr
    assert int(re.search(r"fit mlp .*: epoch (\d+)", second.stderr)[1]) == epoch + 1
    for at, info in before.items():
        assert store.fs.info("/".join((store.root, *at, MARKER)))["ETag"] == info["ETag"]
    board = Leaderboard.from_json(store.read_published("small", "leaderboard.json"))
    assert board.equal(bare)
    assert store.fs.find(f"{store.root}/unfinished") == []
    assert f"report: {url}/suites/small/leaderboard.html" in second.stdout

    third = finish(*command, **machine)
    assert third.returncode == 0, third.stderr
    assert "epoch" not in third.stderr
    assert secrets_in(third.stdout + third.stderr + second.stdout + second.stderr) == []
    assert secrets_in((tmp_path / "mlflow.db").read_bytes().decode(errors="ignore")) == []
    assert not (Path.cwd() / "s3:").exists()


def secrets_in(text):
    return [word for word in ("an-id-of-a-test", "a-secret-of-a-test") if word in text]


@pytest.mark.usefixtures("s3")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_group_of_workers_keeps_its_state_in_the_object_store(bare, machine, small_suite):
    url = "s3://results/group"
    command = ("run", small_suite, "--storage", url, "--set", "compute.workers=2")
    ran = finish(*command, "--set", "training.epochs=2", **machine)
    assert ran.returncode == 0, ran.stderr
    store = Store(url)
    board = Leaderboard.from_json(store.read_published("small", "leaderboard.json"))
    assert len(board.rows) == len(bare.rows)
    assert store.fs.find(f"{store.root}/unfinished") == []


def test_a_search_goes_on_from_the_object_store_and_its_best_runs_from_there(machine, tmp_path):
    url = f"s3://results/{tmp_path.name}"
    suite = tmp_path / "small.yaml"
    space = {"space": {"dropout": ["choice", 0.0, 0.1, 0.2]}}
    suite.write_text(yaml.safe_dump(SUITE | space | {"models": ["mlp"], "releases": ["model"]}))
    command = (
        *("tune", suite, "--model", "mlp", "--search", "optuna", "--scheduler", "asha"),
        *("--trials", 3, "--concurrency", 1, "--storage", url),
    )
    store = Store(url)
    first = start(sys.executable, "-m", "suite", *command, **machine)
    wait_until(lambda: first.poll() is not None or any(k == "fit" for k, _ in marked(store)))
    assert first.poll() is None, first.communicate()
    os.kill(first.pid, signal.SIGKILL)
    kill(first)
    finished = marked(store)

    second = finish(*command, **machine)
    assert second.returncode == 0, second.stderr
    assert "trial 1: epoch" not in second.stderr
    assert finished < marked(store)
    best = f"{url}/suites/small-mlp-tuned/best.yaml"
    assert f"latentprint run {best}" in second.stdout
    ran = finish("run", best, "--storage", url, **machine)
    assert ran.returncode == 0, ran.stderr
    assert "epoch" not in ran.stderr
