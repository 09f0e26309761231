from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from suite import cli
from suite.vectors.read import read
from suite.vectors.vectors import Vectors

NONE: dict[str, str | None] = {"time": None, "role": None, "session": None}


def frame(num_users: int = 8, num_each: int = 6) -> pl.DataFrame:
    """Users who can be told apart over time, but hardly in another order than that of time."""
    rng = np.random.default_rng(0)
    user = rng.permutation(np.repeat(np.arange(num_users), num_each))
    time = rng.permutation(len(user)) + 1
    vector = rng.standard_normal((num_users, 4))[user] + 0.02 * time[:, None]
    return pl.DataFrame(
        {"user_id": [f"{one:02}" for one in user], "vector": vector.tolist(), "time": time}
    )


def found(path: Path, *vector: str, **changes: Any) -> Vectors:
    return read(path, **{"user": "user_id", "vector": vector, "columns": NONE, **changes})


def audited(monkeypatch: pytest.MonkeyPatch, path: Path, *options: str) -> tuple[int, Path]:
    out = path.parent / "out"
    arguments = ["latentprint", "audit", str(path), "--out", str(out), "--replicates", "5"]
    monkeypatch.setattr(sys, "argv", [*arguments, *options])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, out


def csv(data: pl.DataFrame, path: Path, separator: str = ",") -> None:
    data.with_columns(vector=pl.Series(map(json.dumps, data["vector"].to_list()))).write_csv(
        path, separator=separator
    )


def numbered(data: pl.DataFrame) -> pl.DataFrame:
    columns = {str(j): data["vector"].list.get(j) for j in range(4)}
    return data.drop("vector").with_columns(**columns)


WRITERS = {
    "v.parquet": lambda data, path: data.write_parquet(path),
    "v.pq": lambda data, path: data.to_pandas().to_parquet(path),
    "v.csv": csv,
    "v.tsv": lambda data, path: csv(data, path, "\t"),
    "numbered.csv": lambda data, path: numbered(data).write_csv(path),
    "v.csv.gz": lambda data, path: numbered(data).to_pandas().to_csv(path, index=False),
    "index.csv": lambda data, path: numbered(data).to_pandas().set_index("user_id").to_csv(path),
    "lists.csv": lambda data, path: data.to_pandas().to_csv(path, index=False),
    "v.jsonl": lambda data, path: data.write_ndjson(path),
    "v.npz": lambda data, path: np.savez(
        path,
        user_id=data["user_id"].to_numpy().astype(str),
        vector=np.array(data["vector"].to_list()),
        time=data["time"].to_numpy(),
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data, path = frame(), tmp_path / name
    WRITERS[name](data, path)
    code, out = audited(monkeypatch, path)
    assert code == 0
    written = json.loads((out / "audit.json").read_text())
    vector = np.array(data["vector"].to_list())
    expected = Vectors(data["user_id"], vector, {"time": data["time"]}).audit(replicates=5)
    assert written["split_by"] == "time"
    for one, other in zip(written["attacks"], expected.attacks, strict=True):
        assert {key: one[key] for key in other.figures} == other.figures


def test_ids_of_a_text_file_are_text(tmp_path: Path) -> None:
    lines = [
        f"{user},{time},1.5,{time}.5" for time in (1, 2) for user in ("7", "07", "1e3", "10e2")
    ]
    (tmp_path / "v.csv").write_text("\n".join(["user_id,time,e0,e1", *lines]))
    assert found(tmp_path / "v.csv").audit(replicates=2).num_users == 4


def test_a_name_in_brackets_is_that_files(tmp_path: Path) -> None:
    for name, size in (("vec[1].parquet", 1.0), ("vec1.parquet", 2.0), ("v*.parquet", 3.0)):
        pl.DataFrame({"user_id": [1], "vector": [[size]]}).write_parquet(tmp_path / name)
    assert found(tmp_path / "vec[1].parquet").vector.tolist() == [[1.0]]
    assert found(tmp_path / "v*.parquet").vector.tolist() == [[3.0]]


@pytest.mark.parametrize(
    ("ids", "num_users", "num_left_out"),
    [
        (["1", "1 ", "2", "2", "", None], 2, 2),
        ([1.0, 1.0, 2.0, 2.0, float("nan"), None], 2, 2),
        (["1", "1", "2", "2", "nan", " "], 2, 2),
        (pl.Series([1, 1, 2, 2, None, 3]), 3, 1),
        (pl.Series(["a", "a", "b", "b", None, ""], dtype=pl.Categorical), 2, 2),
        ([b"a", b"a", b"\xff", b"\xff", b"", None], 2, 2),
    ],
)
def test_rows_without_a_user_are_counted_and_left_out(
    tmp_path: Path, ids: Any, num_users: int, num_left_out: int
) -> None:
    vector = [[float(row)] for row in range(6)]
    data = pl.DataFrame({"user_id": ids, "vector": vector, "time": range(6)})
    data.write_parquet(tmp_path / "v.parquet")
    source = found(tmp_path / "v.parquet")
    assert (
        source.notes[0]
        == f"Left out {num_left_out} vector{'s' * (num_left_out > 1)} without a user id."
    )
    kept = source.audit(replicates=2)
    assert (kept.num_users, kept.num_vectors) == (num_users, 6 - num_left_out)
    assert source.vector[:4, 0].tolist() == [0, 1, 2, 3]


def test_what_reading_changed_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = numbered(frame()).with_columns(
        user_id=pl.when(pl.int_range(pl.len()) == 5)
        .then(pl.lit(""))
        .when(pl.int_range(pl.len()) < 3)
        .then(pl.col("user_id") + " ")
        .otherwise("user_id")
    )
    data.write_parquet(tmp_path / "v.parquet")
    code, out = audited(monkeypatch, tmp_path / "v.parquet")
    assert code == 0
    words = json.loads((out / "audit.json").read_text())["words"]
    assert words[0].startswith("47 vectors of 8 users")
    assert words[1:4] == [
        "The vectors are '0' .. '3' (4 columns), the only candidates.",
        "Left out 1 vector without a user id.",
        "Removed blanks around 3 user ids.",
    ]
    printed = capsys.readouterr().out
    assert all(sentence in printed for sentence in words)


@pytest.mark.parametrize("missing", [None, float("nan"), "", "NaN"])
def test_missing_sessions_are_not_one_session(tmp_path: Path, missing: Any) -> None:
    is_text = isinstance(missing, str)
    session = [missing, "a" if is_text else 1.0, missing, "a " if is_text else 1.0] * 2
    data = {"user_id": [1] * 4 + [2] * 4, "vector": [[float(i)] for i in range(8)]}
    times = {"time": [0, 1, 2, 3] * 2, "session": session}
    pl.DataFrame(data | times, strict=False).write_parquet(tmp_path / "v.parquet")
    # Of each user's two probes one shares the session of the second gallery vector.
    assert found(tmp_path / "v.parquet").audit(replicates=2).num_dropped == 2


@pytest.mark.parametrize("name", ["time", "role", "session"])
def test_a_column_that_only_has_the_name_is_left_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    data = frame().with_columns(pl.lit("editor").alias(name))
    data.write_parquet(tmp_path / "v.parquet")
    code, out = audited(monkeypatch, tmp_path / "v.parquet")
    assert code == 2
    assert not out.exists()
    capsys.readouterr()
    code, out = audited(monkeypatch, tmp_path / "v.parquet", f"--no-{name}")
    assert code == 0
    split_by = json.loads((out / "audit.json").read_text())["split_by"]
    assert split_by == ("random" if name == "time" else "time")
    code, _ = audited(monkeypatch, tmp_path / "v.parquet", f"--no-{name}", f"--{name}", "user_id")
    assert code == 2
    assert f"--{name} user_id and --no-{name} are mutually exclusive" in capsys.readouterr().err


def test_integer_column_names_of_pandas_are_found(tmp_path: Path) -> None:
    data = frame()
    table = pd.DataFrame(np.array(data["vector"].to_list()))
    table.insert(0, "user_id", data["user_id"].to_list())
    with pytest.warns(UserWarning, match="column names"):
        table.to_parquet(tmp_path / "v.parquet")
    np.testing.assert_array_equal(
        found(tmp_path / "v.parquet").vector, np.array(data["vector"].to_list())
    )
    with pytest.raises(ValueError, match=r"--vector 0: is a single column of numbers beside"):
        found(tmp_path / "v.parquet", "0")


ROWS = 12
ODD = {
    "decimal": pa.array([Decimal(i) for i in range(ROWS)], pa.decimal128(10, 2)),
    "nested": pa.array([[[float(i)]] for i in range(ROWS)]),
    "struct": pa.array([{"a": i} for i in range(ROWS)]),
    "map": pa.array([[("a", i)] for i in range(ROWS)], pa.map_(pa.string(), pa.int64())),
    "binary": pa.array([b"\xff\x00"] * ROWS),
    "boolean": pa.array([True] * ROWS),
    "null": pa.nulls(ROWS),
    "empty lists": pa.array([[] for _ in range(ROWS)], pa.list_(pa.float32())),
    "width 0": pa.array([[] for _ in range(ROWS)], pa.list_(pa.float32(), 0)),
    "list of decimals": pa.array([[Decimal(1)]] * ROWS),
}


@pytest.mark.parametrize("role", ["--vector", "--time", "--role"])
@pytest.mark.parametrize("kind", ODD)
def test_columns_of_odd_types_are_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    role: str,
) -> None:
    user, vector = pa.array(np.arange(ROWS) // 3), pa.array(np.eye(ROWS).tolist())
    table = pa.table({"user_id": user, "vector": vector, "x": ODD[kind]})
    pq.write_table(table, tmp_path / "v.parquet")
    code, out = audited(monkeypatch, tmp_path / "v.parquet", role, "x")
    said = capfd.readouterr().err
    assert code == 2
    assert said.count("\n") == 1
    assert said.strip().isprintable()
    assert "v.parquet" in said
    assert not out.exists()


@pytest.mark.parametrize("dtype", [pa.list_view(pa.float64()), pa.large_list_view(pa.float32())])
def test_views_of_lists_are_lists(tmp_path: Path, dtype: Any) -> None:
    rows = [[float(i), 1.0] for i in range(4)]
    table = pa.table({"user_id": [1, 1, 2, 2], "vector": pa.array(rows, dtype)})
    pq.write_table(table, tmp_path / "v.parquet")
    assert found(tmp_path / "v.parquet").vector.tolist() == rows


def test_damaged_parquet_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v.parquet"
    frame(60).write_parquet(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    codes = []
    for _ in range(25):
        damaged = bytearray(whole)
        for place in rng.integers(4, len(whole) - 8, 3):
            damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(damaged))
        code, _ = audited(monkeypatch, path)
        said = capfd.readouterr().err
        assert said.count("\n") == (code == 2), said
        codes.append(code)
    assert set(codes) <= {0, 2}
    assert 2 in codes


def test_control_characters_of_a_file_never_reach_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[2J\x07\x00name"
    for data, options in (
        (pl.DataFrame({hostile: [1], "x": [1]}), []),
        (frame().with_columns(role=pl.lit(hostile)), []),
        (frame().with_columns(time=pl.lit(hostile)), []),
        (frame().with_columns(vector=pl.lit(hostile)), []),
        (frame(), ["--attack", hostile[:-5]]),
        (frame().rename({"vector": hostile}), []),
    ):
        data.write_parquet(tmp_path / "v.parquet")
        audited(monkeypatch, tmp_path / "v.parquet", *options)
        said = capfd.readouterr()
        assert (said.out + said.err).replace("\n", "").isprintable()
