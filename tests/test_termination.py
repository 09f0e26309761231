"""SIGTERM ends a run in the middle of a fit: one line, exit code 143, nothing left running."""

import signal
import socket

import pytest

from suite.cluster import connect
from tests.processes import kill, session, start, wait_until

SUITE = """
suite: long
datasets:
  - synthetic: {users: 200}
training: {epochs: 2000, patience: 2000}
models:
  - mlp: {dropout: 0.0}
protocols: [rolling]
attacks: [cosine]
bootstrap: 100
"""


@pytest.mark.cluster
def test_a_terminated_run_says_so_in_one_line_and_leaves_no_process(tmp_path):
    (tmp_path / "long.yaml").write_text(SUITE)
    log = tmp_path / "stderr"
    with log.open("w") as stderr:
        run = ("latentprint", "run", tmp_path / "long.yaml", "--storage", tmp_path / "runs")
        process = start(*run, stderr=stderr)
        try:
            wait_until(lambda: "epoch 2," in log.read_text() or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            wait_until(lambda: not session(process))
        finally:
            kill(process)
    assert process.returncode == 143
    *before, last = log.read_text().splitlines()
    assert last == "latentprint: stopped by SIGTERM; rerun the same command to resume"
    assert not [line for line in before if "Traceback" in line or "Fatal" in line or "***" in line]


def test_an_address_of_the_environment_is_named_when_nothing_answers(monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        port = once.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with (
        pytest.raises(ConnectionError, match=r"\(named by RAY_ADDRESS\).* unset RAY_ADDRESS"),
        connect.connected(None),
    ):
        pass


def test_a_local_ray_that_does_not_start_in_time_is_tried_again(monkeypatch):
    started = []

    def init(**settings):
        started.append(settings["address"])
        if len(started) == 1:
            raise TimeoutError("the node did not start within 30 s")

    monkeypatch.setattr(connect.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(connect.ray, "init", init)
    monkeypatch.setattr(connect.ray, "shutdown", lambda: None)
    with connect.connected("local"):
        pass
    assert started == ["local", "local"]
