"""What happens to one of several hosts costs time, and changes no figure."""

import json
import re
import shutil
import signal

import psutil
import pytest

from suite.leaderboard.rows import Leaderboard
from suite.store import checkpoints
from tests.hosts import NAMESPACED, Hosts, Run
from tests.processes import kill, wait_until

pytestmark = [*NAMESPACED, pytest.mark.timeout(1200)]

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

    def fit(self, gallery, rng):
        if (HERE / "hold").exists():
            (HERE / "reached").mkdir(exist_ok=True)
            (HERE / "reached" / f"{socket.gethostname()}-{os.getpid()}").touch()
        while (HERE / "hold").exists():
            time.sleep(0.1)


class Hungry(Attack):
    """Takes 6 GiB, as long as there is a file ``hungry`` beside this one."""

    def fit(self, gallery, rng):
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


TRAINED_AGAIN = ("fit", "represent", "utility", "attack", "measure")
"""Kinds of steps that depend on a fit."""


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
            ran = Run(hosts, name, hosts.folder / f"undisturbed-{name}").finish()
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


def held(hosts, name):
    """Start the suite with all but its attacks done, and let these stay where they are."""
    folder = storage(hosts, name, "attack", "measure")
    hold(hosts)
    return folder, Run(hosts, "faults", folder)


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
    folder, running = held(hosts, "attack")
    host, pid = reached(hosts)[0]
    host.do("kill", "-KILL", pid)
    reached(hosts, 3)
    release(hosts)
    ran = running.finish()
    assert ran.code == 0, ran.err
    assert "its process was killed or crashed; attempt 2 of 4" in ran.err
    assert leaderboard(folder).equal(undisturbed(hosts))


def test_the_steps_of_a_host_that_is_killed_run_on_another(hosts):
    folder, running = held(hosts, "host")
    (host, _), (other, _) = reached(hosts)
    assert host is not other
    host.kill()
    wait_until(lambda: "its host died or was cut off; attempt 2 of 4" in running.said())
    release(hosts)
    ran = running.finish()
    assert ran.code == 0, ran.err
    wait_until(lambda: hosts.alive() == {hosts.head.address, other.address})
    assert leaderboard(folder).equal(undisturbed(hosts))
    assert half_written(folder) == []


def test_a_host_that_is_cut_off_alters_nothing_and_comes_back_when_started_again(hosts):
    folder, running = held(hosts, "cut")
    (host, _), _ = reached(hosts)
    hosts.cut(host)
    wait_until(lambda: "its host died or was cut off; attempt 2 of 4" in running.said())
    # Its attack goes on too, unseen by the cluster, and ends on the same storage.
    release(hosts)
    ran = running.finish()
    assert ran.code == 0, ran.err
    hosts.heal(host)
    wait_until(lambda: host.ray.poll() is not None)  # told that it was given up, Ray ends there
    assert leaderboard(folder).equal(undisturbed(hosts))
    assert half_written(folder) == []
    host.join(hosts.head)
    wait_until(lambda: host.address in hosts.alive())


def test_a_cut_of_seconds_costs_nothing(hosts):
    folder, running = held(hosts, "blink")
    (host, _), _ = reached(hosts)
    hosts.cut(host)
    with pytest.raises(psutil.TimeoutExpired):
        psutil.Process(running.process.pid).wait(timeout=3)
    hosts.heal(host)
    release(hosts)
    ran = running.finish()
    assert ran.code == 0, ran.err
    assert "attempt 2" not in ran.err
    assert leaderboard(folder).equal(undisturbed(hosts))


def test_a_job_whose_driver_is_killed_goes_on_when_it_is_submitted_again(hosts):
    folder = storage(hosts, "driver", "attack", "measure")
    hold(hosts)

    def submit(name):
        return hosts.head.start(
            *("ray", "job", "submit", "--address", "http://127.0.0.1:8265"),
            *("--submission-id", name, "--working-dir", ".", "--", "python", "-m", "suite"),
            *("run", hosts.folder / "faults.yaml", "--storage", folder),
        )

    first = submit("first")
    reached(hosts)
    before = finished(folder)
    drivers = [p for p in hosts.head.processes("-m suite run") if p.name() != "sh"]
    (driver,) = [p for p in drivers if "submit" not in p.cmdline()]
    driver.send_signal(signal.SIGKILL)
    said = first.communicate(timeout=300)
    assert first.returncode == 1, said
    kill(first)

    release(hosts)
    second = submit("second")
    said = second.communicate(timeout=300)
    assert second.returncode == 0, said
    kill(second)
    assert before.items() <= finished(folder).items()
    assert leaderboard(folder).equal(undisturbed(hosts))


def test_a_full_disk_fails_its_cells_and_the_next_run_redoes_only_those(hosts):
    folder = storage(hosts, "full", "attack", "measure")
    (folder / "attack").mkdir()
    ballast = hosts.small / "ballast"
    for host in hosts.all:
        host.do("mount", "--bind", hosts.small, folder / "attack")
    ballast.write_bytes(bytes(hosts.small_bytes - 2 * 16384))  # room for one result or two
    ran = Run(hosts, "faults", folder).finish()
    assert ran.code == 1, ran.err
    assert "No space left on device" in ran.err
    rows = leaderboard(folder).rows
    failed = [row for row in rows if row.status == "failed"]
    assert failed
    assert all("No space left on device" in row.reason for row in failed)
    assert not [path for path in hosts.small.iterdir() if "." in path.name]
    before = finished(folder)

    ballast.unlink()
    ran = Run(hosts, "faults", folder).finish()
    assert ran.code == 0, ran.err
    assert before.items() <= finished(folder).items()
    assert leaderboard(folder).equal(undisturbed(hosts))


def test_a_temporary_folder_that_is_full_ends_the_run_in_one_line(hosts):
    folder = hosts.folder / "temporary"
    for host in hosts.workers:
        host.do("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", host.temporary / "tmp")
    ran = Run(hosts, "faults", folder).finish()
    assert ran.code == 2, ran.err
    assert re.match(r"latentprint: .*No space left on device", ran.err.splitlines()[-1])
    assert finished(folder) == {}
    assert half_written(folder) == []

    for host in hosts.workers:
        host.do("umount", host.temporary / "tmp")
    ran = Run(hosts, "faults", folder).finish()
    assert ran.code == 0, ran.err
    assert leaderboard(folder).equal(undisturbed(hosts))


def test_a_training_worker_that_is_killed_is_replaced(hosts):
    folder = storage(hosts, "worker", *TRAINED_AGAIN, suite="trained")
    running = Run(hosts, "trained", folder, "--set", "compute.workers=2")
    wait_until(lambda: list(folder.glob("unfinished/*/checkpoint.pt")))
    workers = [host.processes("RayTrainWorker") for host in hosts.workers]
    assert [len(found) for found in workers] == [1, 1]
    workers[0][0].send_signal(signal.SIGKILL)
    (unfinished,) = folder.glob("unfinished/*/checkpoint.pt")
    assert checkpoints.load(str(unfinished))["epoch"] < EPOCHS
    ran = running.finish()
    assert ran.code == 0, ran.err
    assert_same_training(hosts, folder)


def test_a_fit_waits_with_a_word_for_the_host_that_was_killed_under_it(hosts):
    folder = storage(hosts, "trainer", *TRAINED_AGAIN, suite="trained")
    running = Run(hosts, "trained", folder, "--set", "compute.workers=2")
    wait_until(lambda: list(folder.glob("unfinished/*/checkpoint.pt")))
    hosts.workers[1].kill()
    wait_until(
        lambda: "insufficient resources: it needs 2 workers with 1 CPU each" in running.said()
    )
    hosts.up(hosts.workers[1])
    ran = running.finish()
    assert ran.code == 0, ran.err
    assert_same_training(hosts, folder)


def assert_same_training(hosts, folder):
    """The curve and the figures of the one undisturbed worker, within what rounding alters."""

    def curve(storage):
        (path,) = storage.glob("fit/*/fitted.json")
        return json.loads(path.read_text())["history"]

    one, two = curve(hosts.folder / "undisturbed-trained"), curve(folder)
    assert [row["epoch"] for row in two] == list(range(1, EPOCHS + 1))
    for key in ("loss", "validation_auc"):
        assert [row[key] for row in two] == pytest.approx([row[key] for row in one], rel=1e-3)
    (expected,), (row,) = undisturbed(hosts, "trained").rows, leaderboard(folder, "trained").rows
    assert row.digest == expected.digest
    assert row.auc == pytest.approx(expected.auc, abs=0.003)
    assert row.top1 == pytest.approx(expected.top1, abs=0.01)


def test_without_a_host_left_for_them_steps_fail_with_that_reason_and_can_be_had_later(hosts):
    folder = storage(hosts, "room", "attack", "measure")
    for host in hosts.workers:
        host.kill()
    wait_until(lambda: hosts.alive() == {hosts.head.address})
    ran = Run(hosts, "faults", folder, "--set", "compute.wait_s=10").finish()
    assert ran.code == 1, ran.err
    assert "waiting up to 10 s for hosts to join" in ran.err
    assert {row.reason for row in leaderboard(folder).rows} == {
        "insufficient resources for 10 s: it needs 1 CPU; CPUs of the live hosts: 0"
    }

    hosts.up(hosts.workers[0])
    ran = Run(hosts, "faults", folder).finish()
    assert ran.code == 0, ran.err
    assert leaderboard(folder).equal(undisturbed(hosts))


def test_a_step_that_needs_too_much_memory_fails_alone_and_runs_where_there_is_enough(hosts):
    folder = storage(hosts, "memory", "attack", "measure")
    for host in hosts.workers:
        host.kill()
    memory = psutil.virtual_memory()
    share = (memory.total - memory.available + 2**31) / memory.total
    small, large = hosts.workers
    hosts.up(small, RAY_memory_usage_threshold=share)
    (hosts.folder / "hungry").touch()
    ran = Run(hosts, "faults", folder).finish()
    assert ran.code == 1, ran.err
    failed = [row for row in leaderboard(folder).rows if row.status == "failed"]
    assert {(row.attack.rpartition(":")[2], row.reason) for row in failed} == {
        ("Hungry", "its host ran out of memory, so Ray killed it, 4 times in all")
    }
    before = finished(folder)

    small.kill()
    hosts.up(large)
    ran = Run(hosts, "faults", folder).finish()
    assert ran.code == 0, ran.err
    assert before.items() <= finished(folder).items()
    assert leaderboard(folder).equal(undisturbed(hosts))
