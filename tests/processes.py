"""The command line in processes of its own, as a person starts it and as kill -9 ends it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent


def start(*command, stdin=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **variables):
    """Start a command at the top of the repository, in a session of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        env={**inherited, "PATH": path, **{key: str(value) for key, value in variables.items()}},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )


def finish(*arguments, **variables):
    """Run the command line to its end: exit code, stdout, stderr."""
    process = start(sys.executable, "-m", "suite", *arguments, **variables)
    try:
        stdout, stderr = process.communicate()
    finally:
        kill(process)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def kill(process):
    """Send SIGKILL to a process and to all that it has started, Ray's included."""
    for pid in session(process):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not session(process))
    with process:
        process.wait()


def session(process):
    """Living processes of the session that a process leads."""
    found = []
    for other in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(other.pid) == process.pid and other.status() != psutil.STATUS_ZOMBIE:
                found.append(other.pid)
    return found


def wait_until(true, limit_s=300.0):
    """Look again and again until something is true."""
    start_s = time.monotonic()
    while not true():
        assert time.monotonic() - start_s < limit_s, f"waited {limit_s} s in vain"
        time.sleep(0.02)
