"""Results and checkpoints that were damaged are named, removed and computed again."""

import io
import json
import re
import shutil

import pytest
from rich.console import Console

from suite import pipeline, spec
from suite.leaderboard.rows import Leaderboard
from suite.store import checkpoints
from suite.store.results import Store

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]


@pytest.fixture(scope="module")
def suite(suite_file):
    return suite_file(releases=["raw"])


@pytest.fixture(scope="module")
def finished(suite, tmp_path_factory):
    """Storage of a run to its end."""
    storage = tmp_path_factory.mktemp("finished")
    board = pipeline.run(
        spec.load(str(suite)),
        Store(str(storage)),
        tracking_uri=f"sqlite:///{storage}/mlflow.db",
        address=None,
        console=Console(file=io.StringIO()),
    )
    assert not board.failed
    return storage


@pytest.fixture
def storage(finished, tmp_path):
    """A copy of that storage, to be damaged."""
    return shutil.copytree(finished, tmp_path / "runs")


@pytest.fixture
def again(latentprint, suite, storage):
    """Run the same command; gives what was said of damage."""

    def run(*extra):
        done = latentprint("run", suite, "--storage", storage, *extra)
        assert done.code == 0, done.err
        return done, [line for line in done.err.splitlines() if " is damaged" in line]

    return run


def board(storage):
    return Leaderboard.from_json((storage / "suites/tiny/leaderboard.json").read_text())


def only(storage, pattern):
    (path,) = storage.glob(pattern)
    return path


def changed_digit(path):
    text = path.read_text()
    path.write_text(re.sub(r'("lift": \d*)\d\.', lambda m: f"{m[1]}{int(m[0][-2]) ^ 1}.", text))
    assert path.read_text() != text


def other_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def without_hashes(path):
    path.write_text(json.dumps({"seconds": 0.5}))


MEASURE = "measure/*/measures.json"


@pytest.mark.parametrize(
    ("pattern", "damage", "what"),
    [
        (MEASURE, changed_digit, "measures.json was changed"),
        (MEASURE, lambda path: path.write_bytes(b""), "measures.json has 0 bytes, not "),
        ("measure/*/done.json", lambda path: path.write_bytes(b"\xff{"), "done.json is not JSON"),
        ("attack/*/done.json", without_hashes, "done.json holds no hashes"),
        (
            "inputs/*/representation.parquet",
            lambda path: path.write_bytes(b"1"),
            "representation.parquet has 1 bytes",
        ),
    ],
)
def test_a_damaged_result_is_named_in_one_line_and_computed_again(
    again, finished, storage, pattern, damage, what
):
    damage(only(storage, pattern))
    _, said = again()
    kind, digest = only(storage, pattern).parts[-3:-1]
    (line,) = said
    assert f"{kind}/{digest} is damaged: {what}" in line
    assert line.endswith("; removed and computed again")
    assert board(storage).equal(board(finished))
    _, said = again()
    assert said == []
    assert only(storage, MEASURE).read_bytes() == only(finished, MEASURE).read_bytes()


def test_an_input_found_damaged_when_it_is_loaded_is_computed_again_in_the_same_run(
    again, finished, storage
):
    for kind in ("measure", "attack"):
        shutil.rmtree(storage / kind)
    other_byte(only(storage, "features/*/aggregates.npy"))
    done, said = again()
    (line,) = said
    assert re.search(r"features/\w+ is damaged: aggregates.npy was changed; removed", line)
    assert "features of" in done.err
    assert board(storage).equal(board(finished))


def test_a_dry_run_counts_what_is_damaged_as_to_be_run_and_leaves_it(again, storage):
    only(storage, MEASURE).write_bytes(b"")
    done, said = again("--dry-run")
    assert said == []
    assert "to run: 1 measure" in done.out
    assert only(storage, MEASURE).read_bytes() == b""


def test_a_fit_whose_checkpoint_is_damaged_begins_anew(latentprint, suite_file, tmp_path):
    suite = suite_file(models=["mlp"], releases=["model"])
    command = ("run", suite, "--storage", tmp_path / "runs")
    done = latentprint(*command)
    assert done.code == 0, done.err
    whole = board(tmp_path / "runs")
    digest = only(tmp_path / "runs", "fit/*").name
    for kind in ("fit", "represent", "attack", "measure"):
        shutil.rmtree(tmp_path / "runs" / kind)
    path = tmp_path / "runs/unfinished" / digest / "checkpoint.pt"
    checkpoints.save(str(path), {"epoch": 2})
    path.write_bytes(b"garbage")
    done = latentprint(*command)
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if " is damaged" in line]
    assert line == f"{path} is damaged; removed, its fit restarts"
    assert board(tmp_path / "runs").equal(whole)
