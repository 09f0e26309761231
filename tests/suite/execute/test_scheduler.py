"""A step that is lost is attempted again; one that cannot run does not wait for ever."""

import pytest
import torch

from suite.leaderboard.rows import Leaderboard

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]

KILLED = '''
import os
import signal
from pathlib import Path

from attacks.base import Attack


class Killed(Attack):
    """Ends its process at the first starts, as often as its file says."""

    def fit(self, gallery, rng):
        left = Path(__file__).with_name("left")
        if number := int(left.read_text()):
            left.write_text(str(number - 1))
            os.kill(os.getpid(), signal.SIGKILL)
'''


@pytest.fixture
def run(latentprint, suite_file, tmp_path):
    """Run a suite with an attack whose process dies a number of times."""
    (tmp_path / "killed.py").write_text(KILLED)
    (tmp_path / "left").write_text("0")

    def ran(number, *extra):
        (tmp_path / "left").write_text(str(number))
        attacks = ["cosine", f"{tmp_path}/killed.py:Killed"]
        done = latentprint(
            *("run", suite_file(releases=["raw"], attacks=attacks), "--storage", tmp_path / "runs"),
            *extra,
        )
        board = (tmp_path / "runs/suites/tiny/leaderboard.json").read_text()
        return done, Leaderboard.from_json(board)

    return ran


def test_a_step_whose_process_dies_is_started_again_and_a_person_is_told(run):
    done, board = run(1)
    assert done.code == 0, done.err
    (told,) = [line for line in done.err.splitlines() if "its process was killed" in line]
    assert told.endswith("attempt 2 of 4")
    one, other = board.rows
    assert one.status == other.status == "done"
    assert (one.top1, one.mrr) == (other.top1, other.mrr)


@pytest.mark.slow
def test_a_step_that_always_ends_its_process_fails_alone_and_is_all_that_the_next_run_does(run):
    done, board = run(1000)
    assert done.code == 1, done.err
    assert {row.attack.rpartition(":")[2]: row.reason for row in board.rows} == {
        "cosine": None,
        "Killed": "its process was killed or crashed, in each of 4 attempts",
    }
    done, board = run(0)
    assert done.code == 0, done.err
    assert "features" not in done.err
    assert [row.status for row in board.rows] == ["done", "done"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_fit_without_the_gpu_that_it_asks_for_says_so_and_ends(run):
    done, board = run(
        *(0, "--set", "models=[mlp, logistic]", "--set", "releases=[model]"),
        *("--set", "compute.accelerator=cuda", "--set", "compute.wait_s=1"),
        *("--set", "attacks=[cosine]", "--set", "compute.gpu_share=0.5"),
    )
    assert done.code == 1, done.err
    shortage = "it needs 1 CPU and 0.5 GPU; CPUs and GPUs of the live hosts: 2 and 0"
    assert f"insufficient resources: {shortage}; waiting up to 1 s for hosts to join" in done.err
    assert {row.model: row.reason for row in board.rows} == {
        "mlp": f"insufficient resources for 1 s: {shortage}",
        "logistic": None,
    }


@pytest.mark.slow
def test_a_fit_for_which_the_cluster_is_too_small_says_so_and_ends(run):
    done, board = run(
        *(0, "--set", "models=[mlp]", "--set", "releases=[model, raw]"),
        *("--set", "compute.workers=3", "--set", "compute.wait_s=1"),
    )
    assert done.code == 1, done.err
    shortage = "it needs 3 workers with 1 CPU each; CPUs of the live hosts: 2"
    assert f"insufficient resources: {shortage}; waiting up to 1 s for hosts to join" in done.err
    assert {(row.release, row.reason) for row in board.rows} == {
        ("model", f"insufficient resources for 1 s: {shortage}"),
        ("raw", None),
    }
