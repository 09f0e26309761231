"""Three ways to run give one leaderboard, and so does a run that was killed twice."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from suite.cluster.connect import connected
from suite.leaderboard.rows import Leaderboard
from suite.store import checkpoints
from tests.processes import ROOT, finish, kill, session, start, wait_until

pytestmark = pytest.mark.cluster

SUITE = """
suite: small
datasets:
  - synthetic: {{users: 200}}
training: {{epochs: 12, patience: 12}}
models: [logistic, mlp]
releases: [model, raw]
protocols: [rolling]
attacks: [cosine, "{folder}/held.py:Held"]
bootstrap: 100
"""

HELD = '''
import os
import time
from pathlib import Path

from attacks.base import Attack


class Held(Attack):
    """Waits in the middle of the attack where the environment names a folder."""

    def fit(self, gallery, rng):
        if "HOLD" in os.environ:
            Path(os.environ["HOLD"], "reached").touch()
            time.sleep(3600)
'''


@pytest.fixture(scope="module")
def small_suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    (folder / "held.py").write_text(HELD)
    (folder / "small.yaml").write_text(SUITE.format(folder=folder))
    return folder / "small.yaml"


@pytest.fixture(scope="module")
def bare(small_suite, tmp_path_factory):
    """Leaderboard of the bare command."""
    storage = tmp_path_factory.mktemp("bare")
    ran = finish("run", small_suite, "--storage", storage)
    assert ran.returncode == 0, ran.stderr
    return leaderboard(storage)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Ray head with a token, a temporary folder and ports of its own."""
    # The path of a socket may have 107 characters, which pytest's folders use up.
    with tempfile.TemporaryDirectory(prefix="lp-", ignore_cleanup_errors=True) as folder:
        token = Path(folder, "token")
        token.write_text("0123456789abcdef" * 4)
        variables = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": token,
            "RAY_TMPDIR": folder,
            "RAY_USAGE_STATS_ENABLED": 0,
        }
        gcs, dashboard, client, agent = free_ports(4)
        log = tmp_path_factory.mktemp("head") / "log"
        with log.open("w") as output:
            head = start(
                *("ray", "start", "--head", "--block", "--num-cpus=2", f"--port={gcs}"),
                *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
                *(f"--ray-client-server-port={client}", f"--temp-dir={folder}/ray"),
                *(f"--dashboard-agent-listen-port={agent}", "--object-store-memory=200000000"),
                *("--min-worker-port=0", "--max-worker-port=0"),
                stdout=output,
                stderr=subprocess.STDOUT,
                **variables,
            )
        try:
            current = Path(folder, "ray", "ray_current_cluster")
            wait_until(lambda: current.exists() or head.poll() is not None)
            assert head.poll() is None, log.read_text()
            yield SimpleNamespace(
                address=current.read_text().strip(),
                url=f"http://127.0.0.1:{dashboard}",
                variables=variables,
                packages=Path(folder, "ray/session_latest/runtime_resources/working_dir_files"),
            )
        finally:
            kill(head)


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def leaderboard(storage):
    return Leaderboard.from_json((storage / "suites/small/leaderboard.json").read_text())


def test_a_bare_run_finishes_every_cell(bare):
    assert [row.status for row in bare.rows] == ["done"] * 8


@pytest.mark.parametrize("way", ["auto", pytest.param("host:port", marks=pytest.mark.slow)])
def test_a_running_cluster_gives_the_leaderboard_of_the_bare_run(
    way, bare, cluster, small_suite, tmp_path
):
    address = cluster.address if way == "host:port" else way
    ran = finish(
        *("run", small_suite, "--storage", tmp_path, "--address", address), **cluster.variables
    )
    assert ran.returncode == 0, ran.stderr
    assert leaderboard(tmp_path).equal(bare)


@pytest.mark.slow
def test_a_cluster_refuses_a_driver_without_its_token(cluster, small_suite, tmp_path):
    stranger = {**cluster.variables, "RAY_AUTH_TOKEN_PATH": tmp_path / "token"}
    (tmp_path / "token").write_text("f" * 64)
    ran = finish(
        *("run", small_suite, "--storage", tmp_path / "runs", "--address", cluster.address),
        **stranger,
    )
    assert ran.returncode == 2
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(f"latentprint: no Ray cluster at '{cluster.address}'")
    assert "RAY_AUTH_TOKEN_PATH" in last


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere"])
def test_an_address_where_nobody_listens_is_refused_at_once_and_in_one_line(address, monkeypatch):
    # Whatever an earlier test has left open in this process.
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with (
        pytest.raises(ConnectionError, match=rf"^no Ray cluster at '{address}': .+\Z"),
        connected(address),
    ):
        pass


STAYS = (
    *("runs/fit/0/state.npz", "mlruns/0/meta.yaml", "mlflow.db", "clicks.parquet", "vectors.npy"),
    *(".venv/lib/big.so", ".git/objects/pack", ".hypothesis/examples/0", ".mypy_cache/3.11/a.json"),
    *("attacks/__pycache__/base.pyc", "dist/latentprint.whl", "nested/deeper/more.parquet"),
)
"""What data, results and caches may be called that lie about in a working copy."""


def working_copy(folder, sign):
    """Copy what git knows of this tree, edited to leave a sign, and let results lie in it."""
    for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    main = folder / "suite" / "__main__.py"
    main.write_text(f"import pathlib\n\npathlib.Path({str(sign)!r}).touch()\n{main.read_text()}")
    for name in STAYS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"0" * 100_000)
    return folder


def test_a_submitted_job_runs_the_working_copy_and_gives_the_leaderboard_of_the_bare_run(
    bare, cluster, small_suite, tmp_path
):
    copy = working_copy(tmp_path / "copy", tmp_path / "sign")

    def ray_job(*arguments):
        address = ("--address", cluster.url)
        process = start("ray", "job", arguments[0], *address, *arguments[1:], **cluster.variables)
        return process.communicate()[0]

    # The client waits and shows the job's output; what counts is the status afterwards.
    said = ray_job(
        *("submit", "--submission-id", "small", "--working-dir", copy),
        *("--", "python", "-m", "suite", "run", small_suite, "--storage", tmp_path / "runs"),
    )
    wait_until(lambda: re.search("succeeded|failed|stopped", ray_job("status", "small")))
    assert "succeeded" in ray_job("status", "small"), said

    assert leaderboard(tmp_path / "runs").equal(bare)
    assert (tmp_path / "sign").exists()
    # What travelled is the code: a tree with its environment and data is a thousand times larger.
    (package,) = [path for path in cluster.packages.iterdir() if path.is_dir()]
    assert (package / "suite" / "pipeline.py").is_file()
    assert [name for name in STAYS if (package / name).exists()] == []
    assert sum(path.stat().st_size for path in package.rglob("*")) < 5_000_000


def test_a_run_killed_in_a_fit_and_in_an_attack_finishes_with_the_same_command(
    bare, small_suite, tmp_path
):
    storage, hold = tmp_path / "runs", tmp_path / "hold"
    hold.mkdir()
    command = (sys.executable, "-m", "suite", "run", small_suite, "--storage", storage)

    # The first epoch's checkpoint: the fit is under way, with 11 epochs to go.
    first = start(*command)
    wait_until(lambda: list(storage.glob("unfinished/*/checkpoint.pt")))
    kill(first)
    (unfinished,) = storage.glob("unfinished/*/checkpoint.pt")
    epoch = checkpoints.load(str(unfinished))["epoch"]
    after_first = finished(storage)
    assert kinds(after_first)["features"] == 1
    assert kinds(after_first)["fit"] < 2

    # Only the driver this time: the local cluster must not outlive it.
    second = start(*command, HOLD=hold)
    # An attack that is held does not wait for the fit of another model.
    wait_until(lambda: (hold / "reached").exists() and kinds(finished(storage))["fit"] == 2)
    os.kill(second.pid, signal.SIGKILL)
    wait_until(lambda: not session(second))
    resumed = re.search(r"fit mlp .*: epoch (\d+)", second.communicate()[1])
    assert int(resumed[1]) == epoch + 1
    after_second = finished(storage)
    assert after_first.items() <= after_second.items()
    assert kinds(after_second)["fit"] == 2

    third = finish(*command[3:])
    assert third.returncode == 0, third.stderr
    assert "epoch" not in third.stderr
    assert after_second.items() <= finished(storage).items()
    assert kinds(after_second)["attack"] < kinds(finished(storage))["attack"]
    assert leaderboard(storage).equal(bare)
    names = [f"{path.parent.name}/{path.name}" for path in storage.glob("*/*")]
    assert not [name for name in names if "." in name or name.startswith("unfinished")]


def finished(storage):
    """When each finished step was finished."""
    return {
        path.parent.relative_to(storage): path.stat().st_mtime_ns
        for path in storage.glob("*/*/done.json")
    }


def kinds(steps):
    return Counter(step.parts[0] for step in steps)
