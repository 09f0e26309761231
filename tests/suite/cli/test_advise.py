from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from suite import cli


def frame(num_users: int = 40, num_each: int = 6) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    user = rng.permutation(np.repeat(np.arange(num_users), num_each))
    vector = rng.standard_normal((num_users, 3))[user] + 0.3 * rng.standard_normal((len(user), 3))
    return pl.DataFrame(
        {
            "user_id": [f"user {one}" for one in user],
            "vector": pl.Series(vector.astype(np.float32)),
            "time": rng.random(len(user)),
            "liked": vector[:, 0] + rng.standard_normal(len(user)) > 0,
            "same": 1,
        }
    )


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["latentprint", "advise", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_the_advice_and_the_defended_vectors_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, path = frame(), tmp_path / "vectors.parquet"
    data.write_parquet(path)
    out, apply = tmp_path / "new" / "advice.json", tmp_path / "defended.parquet"
    asked = ("--max-lift", "24", "--label", "liked", "-o", out, "--apply", apply)
    assert command(monkeypatch, path, *asked) == 0
    said = capsys.readouterr().out
    found = json.loads(out.read_text())
    best = found["chosen"]
    assert f"Release with {best['defense']}" in said
    assert "liked: AUC 0." in said
    assert "keep it as safe as they are" in said
    assert best["lift"]["high"] <= 24 < found["undefended"]["lift"]["high"]
    released = pl.read_parquet(apply)
    assert released.columns == ["user_id", "time", "vector"]
    assert released["user_id"].to_list() == data["user_id"].to_list()
    assert released["vector"].dtype == pl.Array(pl.Float32, 3)
    assert (released["vector"].to_numpy() != data["vector"].to_numpy()).any()
    with np.load(apply.with_suffix(".npz"), allow_pickle=False) as fitted:
        assert len(fitted.files) > 0
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        *("defended.npz", "defended.parquet", "new", "vectors.parquet"),
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--max-lift", "0.5"], "max-lift: found 0.5, allowed: 1 (chance) or more"),
        (["--max-lift", "9", "--releases", "0"], "releases: found 0, allowed: at least 1"),
        (["--max-lift", "9", "--label", "same"], "label same: found 1 classes, allowed: 2"),
        (["--max-lift", "9", "--label", "lked"], "no column 'lked'; found: user_id, vector"),
        (["--max-lift", "9", "--apply", "x.csv"], "--apply x.csv: must end in .parquet"),
        (
            ["--max-lift", "1.01", "--certified", "--apply", "x.parquet"],
            "vectors.parquet: max-lift: no defense reaches 1.01 with 1 releases for these vectors; "
            "the best is",
        ),
    ],
)
def test_a_wrong_input_ends_with_one_line_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    frame().write_parquet("vectors.parquet")
    assert command(monkeypatch, "vectors.parquet", *arguments) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert [one.name for one in tmp_path.iterdir()] == ["vectors.parquet"]
