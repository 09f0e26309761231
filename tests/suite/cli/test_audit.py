from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from attacks.audit import audit
from suite import cli, registry
from suite.leaderboard.rows import Row
from suite.vectors.audit import audit as audit_by_name
from suite.vectors.read import read
from suite.vectors.vectors import first_rows

NONE: dict[str, str | None] = {"time": None, "role": None, "session": None}


def frame(num_users: int = 40, num_each: int = 6, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    user = rng.permutation(np.repeat(np.arange(num_users), num_each))
    vector = rng.standard_normal((num_users, 5))[user] + rng.standard_normal((len(user), 5))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "user_id": [f"user {one}" for one in user],
            "vector": pl.Series(vector.astype(np.float32).tolist(), dtype=pl.List(pl.Float32)),
            "time": [start + timedelta(hours=float(hour)) for hour in rng.random(len(user))],
        }
    )


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["latentprint", "audit", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_the_command_writes_what_the_function_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, path, out = frame(), tmp_path / "vectors.parquet", tmp_path / "out"
    data.write_parquet(path)
    arguments = ("--out", out, "--replicates", "60", "--seed", "3", "--forecast-to", "400")
    assert command(monkeypatch, path, *arguments) == 0
    found = audit(
        data["user_id"].to_numpy(),
        np.array(data["vector"].to_list()),
        time=data["time"].to_numpy(),
        replicates=60,
        seed=3,
        forecast_to=[400],
    )
    assert json.loads((out / "audit.json").read_text()) == found.to_dict()
    printed = capsys.readouterr().out
    assert all(sentence in printed for sentence in found.words)
    with (out / "audit.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["attack"] for row in rows] == ["cosine", "euclidean"]
    assert float(rows[1]["lift"]) == found.attacks[1].figures["lift"]
    users = pl.read_parquet(out / "users.parquet").filter(attack="euclidean")
    assert users["user_id"].to_list() == found.attacks[1].users.user.tolist()
    assert users["top1"].to_list() == found.attacks[1].users.top1.tolist()
    assert users["num_vectors"].to_list() == [6] * 40
    assert sorted(file.name for file in out.iterdir()) == [
        "audit.csv",
        "audit.json",
        "users.parquet",
    ]


def test_every_figure_of_the_leaderboard_about_identification_is_a_key() -> None:
    data = frame(10, 4)
    vector = np.array(data["vector"].to_list())
    found = audit(data["user_id"].to_numpy(), vector, replicates=5).to_dict()["attacks"][0]
    keys = list(Row.model_fields)
    about_attacks = keys[keys.index("top1") : keys.index("num_parameters")]
    not_about_vectors = {"raw_lift", "raw_by", "bound_top1", "bound_lift", "bound_reason"}
    assert set(about_attacks) - not_about_vectors <= set(found)


@pytest.mark.parametrize(
    "columns",
    [
        lambda vector: {"vector": vector.cast(pl.Array(pl.Float32, 5))},
        lambda vector: {"vector": vector.cast(pl.List(pl.Float64))},
        lambda vector: {f"vector{i}": vector.list.get(i) for i in (3, 0, 4, 1, 2)},
        lambda vector: {f"vector_{i:02}": vector.list.get(i) for i in (3, 0, 4, 1, 2)},
    ],
    ids=["fixed size", "float64", "numbered", "padded"],
)
def test_vectors_are_read_from_every_layout(tmp_path: Path, columns: Any) -> None:
    data = frame(10, 4)
    path = tmp_path / "vectors.parquet"
    data.select("user_id", **columns(data["vector"])).write_parquet(path)
    found = read(path, user="user_id", vector=["vector"], columns=NONE)
    np.testing.assert_array_equal(found.vector, np.array(data["vector"].to_list()))


def test_several_columns_are_taken_in_the_order_given_and_ten_after_nine(tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    pl.DataFrame({"user_id": [1]} | {f"f{i}": [i] for i in (10, 9, 1, 0)}).write_parquet(path)
    numbered = read(path, user="user_id", vector=["f"], columns=NONE)
    named = read(path, user="user_id", vector=["f9", "f0", "f10"], columns=NONE)
    assert numbered.vector.tolist() == [[0, 1, 9, 10]]
    assert named.vector.tolist() == [[9, 0, 10]]


@pytest.mark.parametrize(
    "values",
    [
        [3, 1, 3, None],
        ["b", "a", "b", None],
        [b"b", b"a", b"b", None],
        [True, False, True, None],
        [0.5, 0.25, 0.5, None],
        [datetime(2026, 1, 2), datetime(2026, 1, 1), datetime(2026, 1, 2), None],
        [{"a": 1}, {"a": 2}, {"a": 1}, None],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_ids_of_any_type_are_the_first_row_that_holds_them(values: list[Any]) -> None:
    assert first_rows(pl.Series(values)).to_list() == [0, 1, 0, None]


def test_npy_files_give_the_same_figures_as_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = frame(12, 4)
    data.write_parquet(tmp_path / "vectors.parquet")
    np.save(tmp_path / "vectors.npy", np.array(data["vector"].to_list()))
    np.save(tmp_path / "users.npy", data["user_id"].to_numpy().astype(str))
    np.save(tmp_path / "times.npy", data["time"].to_physical().to_numpy())
    same = ("--replicates", "20", "--out")
    assert command(monkeypatch, tmp_path / "vectors.parquet", *same, tmp_path / "a") == 0
    files = ("--user", tmp_path / "users.npy", "--time", tmp_path / "times.npy")
    assert command(monkeypatch, tmp_path / "vectors.npy", *files, *same, tmp_path / "b") == 0
    assert (tmp_path / "a/audit.json").read_text() == (tmp_path / "b/audit.json").read_text()


def test_roles_and_sessions_are_taken_from_columns_of_other_names(tmp_path: Path) -> None:
    data = frame(12, 4).with_columns(
        part=pl.when(pl.int_range(pl.len()).over("user_id") < 2)
        .then(pl.lit("gallery"))
        .otherwise(pl.lit("probe"))
        .cast(pl.Categorical),
        visit=pl.when(pl.int_range(pl.len()).over("user_id") != 2).then(pl.lit("same")),
    )
    path = tmp_path / "vectors.parquet"
    data.write_parquet(path)
    columns = {"time": None, "role": "part", "session": "visit"}
    found = read(path, user="user_id", vector=["vector"], columns=columns).audit(replicates=5)
    assert found.split_by == "role"
    # Of each user's two probes one has no session, the other that of the gallery.
    assert found.num_dropped == 12
    assert found.attacks[0].figures["num_probes"] == 12


def test_another_attack_is_found_by_name_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame(12, 4).write_parquet(tmp_path / "vectors.parquet")
    (tmp_path / "mine.py").write_text(
        '"""An attack."""\n\nfrom attacks.base import Attack\n\n\nclass Mine(Attack):\n'
        '    """By inner product."""\n\n    metric = "dot"\n'
    )
    mine = f"{tmp_path / 'mine.py'}:Mine"
    chosen = ("--attack", "euclidean", "--attack", mine, "--replicates", "5")
    out = tmp_path / "out"
    assert command(monkeypatch, tmp_path / "vectors.parquet", *chosen, "--out", out) == 0
    found = json.loads((out / "audit.json").read_text())["attacks"]
    assert [row["attack"] for row in found] == ["euclidean", mine]


@pytest.mark.parametrize(
    "name", [n for n in registry.names("attacks") if not registry.part("attacks", n).needs]
)
def test_every_attack_that_applies_audits_bare_vectors(tmp_path: Path, name: str) -> None:
    data = frame(30, 12)
    # Identity has preferred directions: where it has none, nothing tells which way a space turned.
    vector = np.array(data["vector"].to_list()) * np.array([4, 3, 2, 1.5, 1])
    data = data.with_columns(vector=pl.Series(vector.tolist(), dtype=pl.List(pl.Float32)))
    data.write_parquet(tmp_path / "vectors.parquet")
    found = audit_by_name(
        read(tmp_path / "vectors.parquet", user="user_id", vector=["vector"], columns=NONE),
        name="vectors",
        attacks=[name],
        replicates=5,
    )
    assert found.attacks[0].figures["num_gallery"] == 30
    assert float(found.attacks[0].figures["lift"] or 0) > 2


@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_a_gate_ends_with_3_after_everything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    data, path, out = frame(), tmp_path / f"vectors.{kind}", tmp_path / "out"
    number = data["user_id"].str.slice(5).cast(pl.Int64)
    data = data.with_columns(even=number % 2 == 0)
    if kind == "parquet":
        data.write_parquet(path)
        columns: list[str | Path] = ["--attribute", "even"]
    else:
        np.save(path, np.array(data["vector"].to_list()))
        np.save(tmp_path / "users.npy", number.to_numpy())
        np.save(tmp_path / "even.npy", data["even"].to_numpy())
        columns = ["--attribute", tmp_path / "even.npy", "--user", tmp_path / "users.npy"]
    defense = "gaussian: {sigma_per_radius: 50}"
    base = (path, *columns, "--replicates", "60", "--out", out, "--defense", defense)
    # The undefended vectors are far above it.
    if kind == "parquet":
        assert command(monkeypatch, *base, "--fail-above-lift", "20") == 0
        capsys.readouterr()
    assert command(monkeypatch, *base, "--fail-above-top1", "0.0001") == 3
    said = capsys.readouterr()
    assert said.err.splitlines()[0].startswith(f"latentprint: cosine under {defense}: top1 may be")
    assert "allowed: 0.0001" in said.err
    assert f"under {defense}, cosine: " in said.out
    written = json.loads((out / "audit.json").read_text())
    assert list(written["defended"]) == [defense]
    assert written["attributes"][0]["num_users"] == 40
    with (out / "audit.csv").open() as file:
        rows = [(row["defense"], row["attack"]) for row in csv.DictReader(file)]
    assert rows == [(d, a) for d in ("none", defense) for a in ("cosine", "euclidean")]
    assert pl.read_parquet(out / "users.parquet")["defense"].unique().sort().to_list() == [
        defense,
        "none",
    ]


def test_users_of_a_list_are_learned_from_and_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, path, out = frame(), tmp_path / "vectors.parquet", tmp_path / "out"
    data.write_parquet(path)
    names = data["user_id"].unique().sort()[:10].to_list()
    (tmp_path / "known.txt").write_text("\n".join([*names, ""]))
    listed = ("--background", tmp_path / "known.txt", "--replicates", "60", "--out", out)

    assert command(monkeypatch, path, "--attack", "background", *listed) == 0
    written = json.loads((out / "audit.json").read_text())
    assert written["num_users_background"] == 10
    assert written["attacks"][0]["num_gallery"] == data["user_id"].n_unique() - 10
    assert not set(names) & set(pl.read_parquet(out / "users.parquet")["user_id"])


def replaced(**columns: Any) -> pl.DataFrame:
    return frame(6, 4).with_columns(**columns)


@pytest.mark.parametrize(
    ("data", "arguments", "line"),
    [
        (replaced(), ["--user", "uid"], "no column 'uid'; found: user_id, vector, time"),
        (replaced(), ["--vector", "emb"], "no column 'emb'; found: user_id, vector, time"),
        (replaced(), ["--role", "part"], "no column 'part'; found: user_id, vector, time"),
        (
            replaced(),
            ["--vector", "user_id"],
            "column 'user_id': 'user 4' in row 0 is not a number",
        ),
        (replaced(), ["--attack", "cosin"], "there is no 'cosin'; did you mean 'cosine'?"),
        (
            replaced(),
            ["--attack", "linked"],
            "does not apply, it needs vectors of a second training",
        ),
        (replaced(), ["--attack", "inversion"], "it needs the histories behind the vectors"),
        (
            replaced(),
            ["--background", "nowhere.txt"],
            "--background: nowhere.txt is no readable text file: ",
        ),
        (
            replaced(),
            ["--attack", "background"],
            "vectors.parquet: background: needs 5 users with vectors of both windows, got ",
        ),
        (
            replaced(),
            ["--attack", "aggregated: {m"],
            "--attack: must be a name, or 'name: {key: val",
        ),
        (
            replaced(),
            ["--attack", "[1, 2]"],
            "--attack: must be a name, or 'name: {key: value}', got",
        ),
        (replaced(), ["--attack", "cosine: {m: 2}"], "attacks: cosine: unknown key 'm'"),
        (
            replaced(),
            ["--attack", "aggregated: {m: 3}"],
            "aggregated: none of 12 probes is left, of at most 2 for each user",
        ),
        (replaced(), ["--defense", "gausian"], "there is no 'gausian'; did you mean 'gaussian'?"),
        (replaced(), ["--defense", "gaussian: {sigma"], "--defense: must be a name, or 'name: {k"),
        (
            replaced(),
            ["--defense", "projected"],
            "vectors.parquet: defense projected: projected: found no labels",
        ),
        (replaced(), ["--attribute", "gender"], "no column 'gender'; found: user_id, vector, time"),
        (
            replaced(pair=pl.lit([1, 2])),
            ["--attribute", "pair"],
            "pair is List(Int64), must be text, numbers, true or false",
        ),
        (replaced(), ["--fail-above-lift", "0.5"], "fail-above-lift: found 0.5, allowed: 1"),
        (replaced(), ["--fail-above-top1", "2"], "fail-above-top1: found 2, allowed: 0 to 1"),
        (replaced(), ["--forecast-to", "6"], "more than the 6 users of the gallery, got 6"),
        (
            replaced(role=pl.lit("test")),
            [],
            "role is 'test', must be 'gallery' or 'probe'; ignore the column with --no-role",
        ),
        (replaced(role=pl.lit("probe")), [], "role: the gallery is empty"),
        (
            replaced(vector=pl.lit([1.0, float("nan")])),
            [],
            "vector must be finite as float32, got NaN or infinity in row 0",
        ),
        (replaced(vector=pl.lit([1.0, None])), [], "got NaN or infinity in row 0"),
        (
            replaced(vector=pl.col("vector").list.head(pl.int_range(pl.len()).clip(3))),
            [],
            "column 'vector': 4 dimensions in row 4, 3 in row 0",
        ),
        (replaced(vector=pl.lit(None, pl.List(pl.Float32))), [], "column 'vector': null in row 0"),
        (replaced(user_id=pl.lit(None, pl.String)), [], "user_id: no row has a user id"),
        (replaced(user_id=pl.int_range(pl.len())), [], "two users with two vectors each, got 0"),
        (replaced(time=pl.lit(None, pl.Int64)), [], "the time is missing"),
        (replaced().clear(), [], "vectors.parquet: no rows"),
    ],
)
def test_a_wrong_input_ends_with_one_line_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: pl.DataFrame,
    arguments: list[str],
    line: str,
) -> None:
    path, out = tmp_path / "vectors.parquet", tmp_path / "out"
    data.write_parquet(path)
    assert command(monkeypatch, path, "--out", out, "--replicates", "5", *arguments) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("text.parquet", "looks like text, must be Parquet as its suffix says"),
        ("absent.parquet", "absent.parquet"),
        ("text.npy", "not a readable .npy file"),
        ("absent.npy", "absent.npy"),
        ("objects.npy", "not a readable .npy file"),
        ("short.npy", "found 3 vectors but 4 user ids"),
    ],
)
def test_a_file_of_another_kind_is_named_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    line: str,
) -> None:
    for text in ("text.parquet", "text.npy"):
        (tmp_path / text).write_text("user,vector\n")
    np.save(tmp_path / "objects.npy", np.array([{}, []], object), allow_pickle=True)
    np.save(tmp_path / "short.npy", np.zeros((3, 2)))
    np.save(tmp_path / "users.npy", np.arange(4) // 2)
    users = ("--user", tmp_path / "users.npy") if name.endswith(".npy") else ()
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, tmp_path / name, *users) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert not list(tmp_path.glob("*-audit"))


def test_npy_vectors_need_npy_ids(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--user: with a \.npy file .* got 'user_id'"):
        read(tmp_path / "vectors.npy", user="user_id", vector=[], columns=NONE)
