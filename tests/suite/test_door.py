"""The package as Python programs use it: run, load, audit."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

import suite
from attacks.audit import audit
from suite.leaderboard.rows import Row

HEAVY = ["fsspec", "mlflow", "numpy", "polars", "pydantic", "ray", "sklearn", "torch"]


def test_importing_the_package_loads_nothing_heavy(shell):
    program = (
        "import json, sys\n"
        "import suite\n"
        "assert all(callable(getattr(suite, name)) for name in suite.__all__)\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))\n"
    )
    done = shell("-c", program)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == []


@pytest.fixture(scope="module")
def ran(suite_file, tmp_path_factory, request):
    """A leaderboard that Python asked for, and where it is kept."""
    request.getfixturevalue("ray_session")
    runs = tmp_path_factory.mktemp("door") / "runs"
    wanted = {"models": ["logistic", "mlp"], "training.epochs": 1}
    return suite.run(suite_file(), wanted, storage=runs, progress=False), runs


@pytest.mark.cluster
def test_a_suite_is_run_and_its_leaderboard_read_again(ran, monkeypatch):
    board, runs = ran
    assert {row.status for row in board.rows} == {"done"}
    assert {(row.model, row.release) for row in board.rows} == {
        (model, release) for model in ("logistic", "mlp") for release in ("model", "raw")
    }
    assert (runs / "mlflow.db").exists()
    file = runs / "suites/tiny/leaderboard.json"
    for found in (suite.load(runs), suite.load(str(runs), "tiny"), suite.load(file)):
        assert found == board
    monkeypatch.setenv("LATENTPRINT_STORAGE", str(runs))
    assert suite.load() == board
    assert suite.load(f"file://{file}") == board


@pytest.mark.cluster
def test_the_frame_holds_every_key_of_every_row(ran):
    board, _ = ran
    frame = board.frame()
    assert frame.columns == list(Row.model_fields)
    assert frame.rows(named=True) == [row.model_dump() for row in board.rows]
    # A key that is null in all rows keeps its type.
    assert frame.schema["fit_s"] == pl.Float64
    assert frame.schema["num_probes"] == pl.Int64
    assert frame.schema["raw_by"] == pl.String
    assert frame.schema["synthetic"] == pl.Boolean


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ({"trainin.epochs": 1}, "unknown key 'trainin'; did you mean 'training'?"),
        ({"training.epochs": "x"}, "training.epochs: found 'x', allowed: an integer"),
        ({"seeds.7": 1}, "^there is no 'seeds.7' to be set"),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_is_written(tmp_path, wanted, line):
    with pytest.raises(ValueError, match=line):
        suite.run("quick", wanted, storage=tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_leaderboard_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="no suite has been run here; found: none"):
        suite.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        suite.load(tmp_path / "nowhere.json")
    with pytest.raises(ValueError, match="found 'quick' beside the file"):
        suite.load(tmp_path / "nowhere.json", "quick")


def test_a_file_is_audited_as_its_arrays_are_and_written_where_asked(tmp_path):
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(30), 4)
    vector = rng.standard_normal((30, 5))[user] + rng.standard_normal((120, 5))
    data = {"who": user, "emb": vector.astype(np.float32), "role": ["x"] * len(user)}
    pl.DataFrame(data).write_parquet(tmp_path / "vectors.parquet")
    given = {"user": "who", "vector": "emb", "without": ["role"], "replicates": 50, "seed": 2}
    found = suite.audit(tmp_path / "vectors.parquet", **given)
    assert found.to_dict() == audit(user, data["emb"], replicates=50, seed=2).to_dict()
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.parquet"]
    suite.audit(tmp_path / "vectors.parquet", **given, out=tmp_path / "out")
    assert json.loads((tmp_path / "out/audit.json").read_text()) == found.to_dict()
    with pytest.raises(ValueError, match="there is no 'cosin'; did you mean 'cosine'"):
        suite.audit(tmp_path / "vectors.parquet", **given, attacks=["cosin"])
