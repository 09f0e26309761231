"""Hosts of a Ray cluster on one machine: namespaces of their own, joined by a switch.

Each host has its address, its name, its processes and its mounts, so that it can be cut off,
filled up, or killed with all that runs on it, as a machine can. Storage below ``Hosts.folder`` is
on disk and shared by all of them.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.processes import ROOT, kill, start, wait_until

NEEDED = ("ip", "nsenter", "unshare", "mount")

APART = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child"]

# Given, as a raylet waits only 15 s for its agents to say which they took.
PORTS = (
    "--dashboard-agent-grpc-port=52366",
    "--runtime-env-agent-port=52367",
    "--metrics-export-port=52368",
)

FASTER = {
    # A host that is cut off is given up after half a minute; Ray's own settings take twice that.
    "RAY_health_check_failure_threshold": 3,
    # Starting workers that nobody asked for takes the two cores from those that work.
    "RAY_enable_worker_prestart": 0,
    "RAY_prestart_worker_first_driver": 0,
    # A group of training workers takes longer to start here than Ray Train waits.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": 300,
    # Ray yields to everything else on a machine, which here is the rest of a host.
    "RAY_worker_niceness": 0,
    "RAY_raylet_start_wait_time_s": 300,
    "RAY_agent_register_timeout_ms": 300_000,
    "RAY_worker_register_timeout_seconds": 300,
    "RAY_USAGE_STATS_ENABLED": 0,
}


ROLL_CALL = """
import sys
from ray._raylet import GcsClient
gcs = GcsClient(address=sys.argv[1])
for _ in sys.stdin:
    nodes = gcs.get_all_node_info(timeout=10).values()
    print(*(node.node_manager_address for node in nodes if node.state == 0), flush=True)
"""
"""Answers each line with the addresses of the hosts that are alive."""


def missing():
    """Say what stands in the way of namespaces here; empty where nothing does."""
    if os.name != "posix" or os.geteuid() != 0:
        return "namespaced hosts need root"
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"namespaced hosts need {', '.join(absent)} (apt-get install iproute2 util-linux)"
    tried = subprocess.run(
        [*APART, "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return tried.stderr.strip() and f"namespaced hosts: {tried.stderr.strip()}"


NAMESPACED = [
    pytest.mark.cluster,
    pytest.mark.slow,
    # Namespaces are made by root, on Linux: a machine without them says what it lacks.
    pytest.mark.skipif(bool(missing()), reason=missing() or "possible"),
]
"""Marks of tests that need several hosts."""


class Host:
    """Processes, network, name and mounts of its own; number 1 is the head.

    Parameters
    ----------
    folder
        Of all hosts.
    number
        From 1; the last figure of the address.
    """

    def __init__(self, folder, number):
        self.folder = folder
        self.name = f"host{number}"
        self.address = f"10.77.0.{number}"
        self.temporary = folder / str(number)
        self._init = None
        self.ray = None

    def boot(self):
        """Make the namespaces, and a name that the others can resolve."""
        self.temporary.mkdir(exist_ok=True)
        self._init = subprocess.Popen(
            [*APART, "--mount-proc", "sleep", "infinity"],
            stderr=subprocess.DEVNULL,  # unshare complains of being killed
        )
        wait_until(lambda: psutil.Process(self._init.pid).children(), limit_s=60)
        (child,) = psutil.Process(self._init.pid).children()
        self.pid = child.pid
        wait_until(lambda: child.name() == "sleep", limit_s=60)
        Path(self.folder, "hosts").write_text(
            "127.0.0.1 localhost\n" + "".join(f"10.77.0.{n} host{n}\n" for n in range(1, 10))
        )
        self.do("sh", "-c", f"echo {self.name} > /proc/sys/kernel/hostname")
        self.do("mount", "--bind", self.folder / "hosts", "/etc/hosts")

    def do(self, *command):
        """Run a command on the host to its end."""
        return subprocess.run(
            [*self.entering(), *map(str, command)], check=True, capture_output=True, text=True
        ).stdout

    def entering(self):
        """Words before a command that make it run on the host."""
        into = ["nsenter", "--target", str(self.pid), "--net", "--uts", "--mount", "--pid"]
        return [*into, f"--wd={ROOT}"]

    def start(self, *command, **variables):
        """Start a command on the host, as somebody logged in there would."""
        return start(*self.entering(), *command, **self.login, **variables)

    @property
    def login(self):
        """Environment of whoever works on the host."""
        (self.temporary / "tmp").mkdir(exist_ok=True)
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": self.folder / "token",
            "RAY_TMPDIR": self.temporary,
            "TMPDIR": self.temporary / "tmp",
            "COLUMNS": 200,
            "TERM": "dumb",
            **FASTER,
        }

    def join(self, head=None, *, num_cpus=1, **variables):
        """Start Ray on the host: as the head, or as a worker of one."""
        role = ["--head", "--port=6379", "--dashboard-host=127.0.0.1"]
        if head is not None:
            role = [f"--address={head.address}:6379"]
        log = (self.folder / f"{self.name}.log").open("a")
        with log:
            self.ray = self.start(
                *("ray", "start", "--block", f"--num-cpus={num_cpus}", *role),
                *(f"--node-ip-address={self.address}", f"--temp-dir={self.temporary}/ray"),
                *("--object-store-memory=100000000", *PORTS),
                stdout=log,
                stderr=subprocess.STDOUT,
                **variables,
            )

    def processes(self, title):
        """Living processes of the host whose command line has a text in it."""
        found = []
        mine = Path(f"/proc/{self.pid}/ns/pid").readlink()
        for process in psutil.process_iter(["cmdline"]):
            with suppress(OSError, psutil.NoSuchProcess):
                if title in " ".join(process.info["cmdline"] or []) and (
                    Path(f"/proc/{process.pid}/ns/pid").readlink() == mine
                ):
                    found.append(process)
        return found

    def kill(self):
        """End the host: everything on it stops at once, as when its power is cut."""
        os.kill(self.pid, signal.SIGKILL)
        self._init.wait()
        if self.ray is not None:
            kill(self.ray)

    @property
    def is_up(self):
        return self._init is not None and self._init.poll() is None


class Hosts:
    """A switch, a head without CPUs for steps, and workers with one each.

    Parameters
    ----------
    num_workers
        Hosts besides the head.

    Attributes
    ----------
    folder
        On disk, shared by all hosts.
    small
        A disk of ``small_bytes``, shared by all hosts too.
    """

    small_bytes = 2**22

    def __init__(self, num_workers=2):
        # Short: the path of a socket may have 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="lph-"))
        (self.folder / "token").write_text(os.urandom(32).hex())
        self.all = [Host(self.folder, number) for number in range(1, num_workers + 2)]
        self.head, *self.workers = self.all
        self.small = self.folder / "small"
        self.small.mkdir()
        small = ("mount", "-t", "tmpfs", "-o", f"size={self.small_bytes}", "tmpfs", self.small)
        subprocess.run(small, check=True)
        self._roll = None
        self._switch = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        wait_until(lambda: psutil.Process(self._switch.pid).name() == "sleep", limit_s=60)
        self._on_switch("ip", "link", "add", "switch", "type", "bridge")
        self._on_switch("ip", "link", "set", "switch", "up")

    def up(self, *hosts, **variables):
        """Boot hosts, and wait for each until the cluster counts it."""
        for host in hosts:
            host.boot()
            self._plug(host)
            is_head = host is self.head
            host.join(None if is_head else self.head, num_cpus=0 if is_head else 1, **variables)
            if is_head:
                current = host.temporary / "ray" / "ray_current_cluster"
                wait_until(current.exists)
            wait_until(lambda host=host: host.address in self.alive())

    def alive(self):
        """Addresses of the hosts that the cluster counts as alive."""
        if self._roll is None or self._roll.poll() is not None:
            call = (sys.executable, "-c", ROLL_CALL, f"{self.head.address}:6379")
            self._roll = self.head.start(*call, stdin=subprocess.PIPE)
        self._roll.stdin.write("\n")
        self._roll.stdin.flush()
        return set(self._roll.stdout.readline().split())

    def cut(self, host):
        """Pull the host's plug out of the switch."""
        self._on_switch("ip", "link", "set", host.name, "down")

    def heal(self, host):
        """Put the plug back."""
        self._on_switch("ip", "link", "set", host.name, "up")

    def down(self):
        """End all hosts."""
        if self._roll is not None:
            kill(self._roll)
            self._roll.stdin.close()
        for host in self.all:
            if host.is_up:
                host.kill()
        self._switch.kill()
        self._switch.wait()
        subprocess.run(["umount", self.small], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _plug(self, host):
        """Lay a cable from the host to the switch."""
        with suppress(subprocess.CalledProcessError):  # the cable of a host that was killed
            self._on_switch("ip", "link", "delete", host.name)
        cable = ("ip", "link", "add", host.name, "type", "veth", "peer", "name", "eth0")
        self._on_switch(*cable, "netns", str(host.pid))
        self._on_switch("ip", "link", "set", host.name, "master", "switch")
        self._on_switch("ip", "link", "set", host.name, "up")
        host.do("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            host.do("ip", "link", "set", device, "up")
        # Ray finds its own address by asking which one leads out.
        host.do("ip", "route", "add", "default", "dev", "eth0")

    def _on_switch(self, *command):
        subprocess.run(
            ["nsenter", "--target", str(self._switch.pid), "--net", *command],
            check=True,
            capture_output=True,
        )


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
