"""What happens to one of several hosts costs time, and changes no figure."""

import shutil
import sys
from types import SimpleNamespace

import psutil
import pytest

from suite.leaderboard import Leaderboard
from tests import hosts as namespaces
from tests.hosts import Hosts
from tests.processes import kill, wait_until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing() or "possible"),
]

EPOCHS = 8

ATTACKS = '''
import os
import socket
import time
from pathlib import Path

import numpy as np

from attacks.base import Attack

HERE = Path(__file__).parent


class Held(Attack):
    """Says where it runs and stays there, as long as there is a file ``hold`` beside this one."""

    def fit(self, vectors, user_row, rng):
        if (HERE / "hold").exists():
            (HERE / "reached").mkdir(exist_ok=True)
            (HERE / "reached" / f"{socket.gethostname()}-{os.getpid()}").touch()
        while (HERE / "hold").exists():
            time.sleep(0.1)


class Hungry(Attack):
    """Takes 6 GiB, as long as there is a file ``hungry`` beside this one."""

    def fit(self, vectors, user_row, rng):
        kept = []
        while (HERE / "hungry").exists() and len(kept) < 48:
            kept.append(np.ones(2**24))
            time.sleep(0.1)
'''

SUITE = """
suite: faults
datasets:
  - synthetic: {{users: 300}}
models: [logistic]
releases: [model, raw]
protocols: [rolling]
attacks: [cosine, "{folder}/mine.py:Held", "{folder}/mine.py:Hungry"]
bootstrap: 100
"""

# Without dropout the workers draw nothing, so the curves differ by rounding alone.
TRAINED = f"""
suite: trained
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
def cluster():
    """Three hosts, suites in a folder that all of them share, and undisturbed runs of these."""
    hosts = Hosts()
    try:
        hosts.up(*hosts.all)
        (hosts.folder / "mine.py").write_text(ATTACKS)
        (hosts.folder / "faults.yaml").write_text(SUITE.format(folder=hosts.folder))
        (hosts.folder / "trained.yaml").write_text(TRAINED)
        for name in ("faults", "trained"):
            ran = run(hosts, name, hosts.folder / f"undisturbed-{name}").finish()
            assert ran.code == 0, ran.err
        yield hosts
    finally:
        hosts.down()


@pytest.fixture
def hosts(cluster):
    """The cluster, with what an earlier test killed."""
    for trace in ("hold", "hungry"):
        (cluster.folder / trace).unlink(missing_ok=True)
    shutil.rmtree(cluster.folder / "reached", ignore_errors=True)
    cluster.up(*[host for host in cluster.all if not host.is_up])
    return cluster


class Run:
    """The command line on the head of the cluster."""

    def __init__(self, hosts, suite, storage, *extra):
        self.log = (hosts.folder / f"{storage.name}.err").open("a+")
        self.process = hosts.head.start(
            *(sys.executable, "-m", "suite", "run", hosts.folder / f"{suite}.yaml"),
            *("--storage", storage, "--address", f"{hosts.head.address}:6379", *extra),
            stderr=self.log,
        )

    def said(self):
        """What the command has shown until now."""
        self.log.seek(0)
        return self.log.read()

    def finish(self, limit_s=600):
        """Wait for the end: exit code, all that was shown."""
        try:
            self.process.communicate(timeout=limit_s)
        finally:
            kill(self.process)
        said = self.said()
        self.log.close()
        return SimpleNamespace(code=self.process.returncode, err=said)


run = Run


def storage(hosts, name, *redo, suite="faults"):
    """Copy of the undisturbed storage without the results of some kinds of steps."""
    folder = hosts.folder / name
    left_out = shutil.ignore_patterns(*redo, "suites", "recorded", "mlflow.db*")
    shutil.copytree(hosts.folder / f"undisturbed-{suite}", folder, ignore=left_out)
    return folder


def leaderboard(folder, suite="faults"):
    return Leaderboard.from_json((folder / f"suites/{suite}/leaderboard.json").read_text())


def undisturbed(hosts, suite="faults"):
    return leaderboard(hosts.folder / f"undisturbed-{suite}", suite)


def hold(hosts):
    """Let the attacks stay where they are."""
    (hosts.folder / "hold").touch()


def release(hosts):
    (hosts.folder / "hold").unlink()


def reached(hosts, number=2):
    """Hosts and process ids of attacks that are held."""
    folder = hosts.folder / "reached"
    wait_until(lambda: folder.exists() and len(list(folder.iterdir())) >= number)
    by_name = {host.name: host for host in hosts.all}
    names = [path.name.split("-") for path in sorted(folder.iterdir())]
    return [(by_name[name], int(pid)) for name, pid in names]


def finished(folder):
    """When each finished step was finished."""
    return {
        path.parent.relative_to(folder): path.stat().st_mtime_ns
        for path in folder.glob("*/*/done.json")
        if "." not in path.parent.name  # else of a writer that was killed before it was done
    }


def half_written(folder):
    """Whatever is neither a result nor published."""
    return [p for p in folder.glob("*/*") if "." in p.name or p.parent.name == "unfinished"]


def test_three_hosts_are_three_to_the_cluster(hosts):
    assert hosts.alive() == {host.address for host in hosts.all}
    assert len({host.do("hostname") for host in hosts.all}) == 3


def test_an_attack_whose_process_is_killed_is_started_again(hosts):
    folder = storage(hosts, "attack", "attack", "measure")
    hold(hosts)
    running = run(hosts, "faults", folder)
    host, pid = reached(hosts)[0]
    host.do("kill", "-KILL", pid)
    reached(hosts, 3)
    release(hosts)
    ran = running.finish()
    assert ran.code == 0, ran.err
    assert "its process was killed or crashed; start 2 of 4" in ran.err
    assert leaderboard(folder).equal(undisturbed(hosts))


def test_the_steps_of_a_host_that_is_killed_run_on_another(hosts):
    folder = storage(hosts, "host", "attack", "measure")
    hold(hosts)
    running = run(hosts, "faults", folder)
    (host, _), (other, _) = reached(hosts)
    assert host is not other
    host.kill()
    wait_until(lambda: "its host died or was cut off; start 2 of 4" in running.said())
    release(hosts)
    ran = running.finish()
    assert ran.code == 0, ran.err
    wait_until(lambda: hosts.alive() == {hosts.head.address, other.address})
    assert leaderboard(folder).equal(undisturbed(hosts))
    assert half_written(folder) == []


def test_a_cut_of_seconds_costs_nothing(hosts):
    folder = storage(hosts, "blink", "attack", "measure")
    hold(hosts)
    running = run(hosts, "faults", folder)
    (host, _), _ = reached(hosts)
    hosts.cut(host)
    with pytest.raises(psutil.TimeoutExpired):
        psutil.Process(running.process.pid).wait(timeout=3)
    hosts.heal(host)
    release(hosts)
    ran = running.finish()
    assert ran.code == 0, ran.err
    assert "start 2" not in ran.err
    assert leaderboard(folder).equal(undisturbed(hosts))
