"""A fit by two worker processes is the fit by one, also when one of them is killed."""

import json
import os
import signal
import sys

import psutil
import pytest

from suite.store import checkpoints
from tests.processes import finish, kill, session, start, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

EPOCHS = 8

# Without dropout the workers draw nothing, so the curves differ by rounding alone.
SUITE = f"""
suite: small
datasets:
  - synthetic: {{users: 300}}
training: {{epochs: {EPOCHS}, patience: {EPOCHS}}}
models:
  - mlp: {{dropout: 0.0}}
protocols: [rolling]
attacks: [cosine]
bootstrap: 100
"""


@pytest.fixture(scope="module")
def small_suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "small.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def one_worker(small_suite, tmp_path_factory):
    storage = tmp_path_factory.mktemp("one")
    ran = finish("run", small_suite, "--storage", storage)
    assert ran.returncode == 0, ran.stderr
    return curve(storage)


def curve(storage):
    (path,) = storage.glob("fit/*/fitted.json")
    return json.loads(path.read_text())["history"]


def assert_same_curve(one, other):
    assert [row["epoch"] for row in other] == list(range(1, EPOCHS + 1))
    for key in ("loss", "validation_auc"):
        expected = [row[key] for row in one]
        assert [row[key] for row in other] == pytest.approx(expected, rel=1e-3)


def test_two_workers_give_the_curve_of_one(one_worker, small_suite, tmp_path):
    ran = finish("run", small_suite, "--storage", tmp_path, "--set", "compute.workers=2")
    assert ran.returncode == 0, ran.stderr
    assert_same_curve(one_worker, curve(tmp_path))


def test_a_killed_worker_is_replaced_and_the_fit_goes_on_after_its_last_epoch(
    one_worker, small_suite, tmp_path
):
    command = ("run", small_suite, "--storage", tmp_path, "--set", "compute.workers=2")
    process = start(sys.executable, "-m", "suite", *command)
    try:
        wait_until(lambda: list(tmp_path.glob("unfinished/*/checkpoint.pt")))
        os.kill(train_workers(process)[0], signal.SIGKILL)
        (unfinished,) = tmp_path.glob("unfinished/*/checkpoint.pt")
        assert checkpoints.load(str(unfinished))["epoch"] < EPOCHS
        _, progress = process.communicate()
    finally:
        kill(process)
    assert process.returncode == 0, progress
    assert_same_curve(one_worker, curve(tmp_path))
    # No epoch is trained again after its checkpoint; the killed worker may not have told its last.
    assert sum("epoch" in line for line in progress.splitlines()) in (EPOCHS - 1, EPOCHS)


def train_workers(process):
    """Processes that train, in the local cluster of a command."""
    titles = {pid: " ".join(psutil.Process(pid).cmdline()) for pid in session(process)}
    return [pid for pid, title in titles.items() if "RayTrainWorker" in title]
