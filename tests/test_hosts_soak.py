"""A suite of 64 cells that is hit 20 times ends with the leaderboard of one that is left alone."""

import random
import signal
import sys
import time
from contextlib import suppress

import psutil
import pytest

from tests.hosts import NAMESPACED, Hosts, Run
from tests.processes import kill, wait_until
from tests.test_hosts import finished, leaderboard

pytestmark = [*NAMESPACED, pytest.mark.timeout(5400)]

NUM_KILLS = 20

ATTACKS = '''
import time
from pathlib import Path

from attacks.cosine import Cosine

SLOW = Path(__file__).with_name("slow")


class Slow(Cosine):
    """Takes 10 s, as long as there is a file ``slow`` beside this one: time to be hit in."""

    def fit(self, gallery, rng):
        if SLOW.exists():
            time.sleep(10)  # a kill must find it at work; nothing is waited for
'''

SUITE = """
suite: soak
datasets:
  - synthetic: {{users: 200}}
training: {{epochs: 2}}
models: [logistic, mlp]
releases: [model, raw, context_only, pca]
protocols: [static, rolling, disjoint, unseen]
attacks: [cosine, "{folder}/slow.py:Slow"]
bootstrap: 100
"""


@pytest.fixture
def hosts():
    hosts = Hosts()
    try:
        hosts.up(*hosts.all)
        (hosts.folder / "slow.py").write_text(ATTACKS)
        (hosts.folder / "soak.yaml").write_text(SUITE.format(folder=hosts.folder))
        yield hosts
    finally:
        hosts.down()


class Soak:
    """The same command again and again, while a die says what is killed next."""

    def __init__(self, hosts, seed):
        self.hosts = hosts
        self.folder = hosts.folder / "soaked"
        self.rng = random.Random(seed)
        self.kills = []
        self.running = self.command()

    def command(self):
        return Run(self.hosts, "soak", self.folder)

    def step(self):
        """Kill a process that runs a step, as the kernel or a person may."""
        steps = []

        def some():
            steps[:] = [p for host in self.hosts.workers for p in host.processes("ray::perform")]
            return steps or self.running.process.poll() is not None

        wait_until(some)
        assert steps, self.running.said()
        with suppress(psutil.NoSuchProcess):
            self.rng.choice(steps).send_signal(signal.SIGKILL)

    def driver(self):
        """Kill the command itself, and give it again."""
        kill(self.running.process)
        self.running.log.close()
        self.running = self.command()

    def host(self):
        """Kill a host with all that runs on it; another takes its place once that is noticed."""
        host = self.rng.choice(self.hosts.workers)
        host.kill()
        wait_until(lambda: host.address not in self.hosts.alive())
        self.hosts.up(host)

    def all_kills(self, num_steps):
        """Deal the kills evenly over the steps that there are to finish."""
        ways = self.rng.choices([self.step, self.driver, self.host], [14, 3, 3], k=NUM_KILLS)
        for number, way in enumerate(ways):
            # The other half is measures of milliseconds, which no kill would find at work.
            due = number * num_steps // (2 * NUM_KILLS)
            wait_until(lambda due=due: len(finished(self.folder)) >= due, limit_s=900)
            assert self.running.process.poll() is None, self.running.said()
            way()
            self.kills.append(way.__name__)


def results(folder):
    """Finished steps; what was told to the tracker holds seconds, and so is never the same."""
    return {path for path in finished(folder) if path.parts[0] != "recorded"}


def test_twenty_kills_do_not_change_the_leaderboard_of_sixty_four_cells(hosts):
    start_s = time.monotonic()
    alone = Run(hosts, "soak", hosts.folder / "alone").finish(limit_s=1800)
    assert alone.code == 0, alone.err
    alone_s = time.monotonic() - start_s
    expected = leaderboard(hosts.folder / "alone", "soak")
    assert len(expected.rows) == 64

    start_s = time.monotonic()
    (hosts.folder / "slow").touch()
    soak = Soak(hosts, seed=3)
    soak.all_kills(len(finished(hosts.folder / "alone")))
    ended = soak.running.finish(limit_s=1800)
    # A step that was hit four times has failed: rerunning the same command resumes it.
    for _ in range(3):
        if ended.code == 1:
            ended = soak.command().finish(limit_s=1800)
    assert ended.code == 0, ended.err
    assert len(soak.kills) == NUM_KILLS
    assert set(soak.kills) == {"step", "driver", "host"}
    assert leaderboard(soak.folder, "soak").digest == expected.digest
    assert results(soak.folder) == results(hosts.folder / "alone")
    soaked_s = time.monotonic() - start_s
    sys.stdout.write(
        f"\nalone {alone_s:.0f} s, hit {NUM_KILLS} times {soaked_s:.0f} s: {soak.kills}\n"
    )
