from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.vectors.read import read
from suite.vectors.vectors import Vectors

NONE: dict[str, str | None] = {"time": None, "role": None, "session": None}
USER = np.array(["b", "a", "b", "a"])
VECTOR = np.arange(8.0).reshape(4, 2)


def npz(path: Path, arrays: dict[str, Any], *names: str) -> Vectors:
    np.savez_compressed(path / "all.npz", **arrays)
    return read(path / "all.npz", user="user_id", vector=names, columns=NONE)


def test_a_npz_holds_everything_under_its_names(tmp_path: Path) -> None:
    time = np.array(["2026-01-02", "2026-01-01", "2026-01-03", "2026-01-04"], "datetime64[h]")
    found = npz(
        tmp_path, {"user_id": USER, "vector": VECTOR, "time": time, "weights": np.zeros((3, 3))}
    )
    np.testing.assert_array_equal(found.vector, VECTOR)
    assert found.user.to_list() == USER.tolist()
    assert found.columns["time"].rank().to_list() == [2, 1, 3, 4]
    assert list(found.columns) == ["time"]


def test_the_only_matrix_of_a_npz_is_the_vectors(tmp_path: Path) -> None:
    np.testing.assert_array_equal(npz(tmp_path, {"user_id": USER, "emb": VECTOR}).vector, VECTOR)
    odd = np.array([{}], object)
    beside = npz(tmp_path, {"user_id": USER, "vector": VECTOR, "other": VECTOR, "odd": odd})
    np.testing.assert_array_equal(beside.vector, VECTOR)
    two = npz(tmp_path, {"user_id": USER, "emb": VECTOR, "other": VECTOR + 1}, "emb")
    np.testing.assert_array_equal(two.vector, VECTOR)


@pytest.mark.parametrize(
    "user",
    [
        np.array([1.0, np.nan, 1.0, 2.0]),
        np.array(["x", "", "x ", "y"]),
        np.array(["x", " ", " x", "nan"]),
        np.array([b"x", b"", b"x", b"y"]),
        np.array(["2026-01-01", "NaT", "2026-01-01", "2026-01-02"], "datetime64[s]"),
    ],
)
def test_missing_ids_are_left_out_with_a_note(tmp_path: Path, user: Any) -> None:
    found = npz(tmp_path, {"user_id": user, "vector": VECTOR})
    num_missing = 2 if user[-1] == "nan" else 1
    assert len(found.user) == 4 - num_missing
    assert found.user[0] == found.user[1]
    np.testing.assert_array_equal(found.vector, VECTOR[[0, 2, 3][: 4 - num_missing]])
    assert (
        found.notes[0]
        == f"Left out {num_missing} vector{'s' * (num_missing > 1)} without a user id."
    )


@pytest.mark.parametrize(
    ("arrays", "vector", "line"),
    [
        ({"vector": VECTOR}, [], "no array user_id; found: vector"),
        ({"user_id": USER}, [], "no array vector; found: user_id"),
        ({"user_id": USER, "vector": VECTOR}, ["emb"], "no array emb; found: user_id, vector"),
        (
            {"user_id": USER, "a": VECTOR, "b": VECTOR},
            [],
            "several arrays could be the vectors: a, b",
        ),
        ({"user_id": USER, "a": VECTOR}, ["a", "b"], "the vectors of a .npz file are one array"),
        ({"user_id": USER[:3], "vector": VECTOR}, [], "found 4 vectors but 3 user ids"),
        ({"user_id": VECTOR, "vector": VECTOR}, [], r"one value per vector, .* shape \(4, 2\)"),
        ({"user_id": USER, "vector": USER}, [], "vector must be a matrix of numbers, got <U1"),
        (
            {"user_id": USER, "vector": np.array([[{}]] * 4, object)},
            [],
            "all.npz: not a readable .npz file: Object arrays cannot be loaded",
        ),
        (
            {"user_id": USER, "vector": VECTOR + np.array([0, np.inf])},
            [],
            "got NaN or infinity in row 0",
        ),
    ],
)
def test_what_a_npz_lacks_is_named(
    tmp_path: Path, arrays: dict[str, Any], vector: list[str], line: str
) -> None:
    with pytest.raises(ValueError, match=line):
        npz(tmp_path, arrays, *vector)


def test_rows_are_counted_in_the_file_where_some_are_left_out(tmp_path: Path) -> None:
    vector = VECTOR.copy()
    vector[3, 1] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity in row 3"):
        npz(tmp_path, {"user_id": np.array(["", "a", "b", "a"]), "vector": vector})


def test_damaged_files_are_named_in_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", user_id=USER, vector=VECTOR)
    whole = (tmp_path / "whole.npz").read_bytes()
    header = len(np.lib.format.magic(1, 0))
    np.save(tmp_path / "v.npy", VECTOR)
    npy = (tmp_path / "v.npy").read_bytes()
    huge = npy.replace(b"(4, 2), }" + b" " * 12, b"(40000000000, 2), }  ")
    assert len(huge) == len(npy)
    damaged = {
        "short.npz": whole[: len(whole) // 2],
        "flipped.npz": whole.replace(USER.tobytes()[:4], b"\xff\xff\xff\xff"),
        "one.npz": npy,
        "text.npz": b"user,vector\n",
        "several.npy": whole,
        "short.npy": npy[:-3],
        "header.npy": npy[:header],
        "huge.npy": huge,
    }
    np.save(tmp_path / "users.npy", USER)
    for name, content in damaged.items():
        path = tmp_path / name
        path.write_bytes(content)
        user = str(tmp_path / "users.npy") if path.suffix == ".npy" else "user_id"
        with pytest.raises(
            ValueError, match=rf"{name}: not a readable \{path.suffix} file"
        ) as said:
            read(path, user=user, vector=[], columns=NONE)
        assert str(said.value).isprintable(), name


def test_a_npy_has_no_names_inside(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTOR)
    np.save(tmp_path / "u.npy", USER)
    with pytest.raises(ValueError, match=r"--vector emb: a \.npy file has one array"):
        read(tmp_path / "v.npy", user=str(tmp_path / "u.npy"), vector=["emb"], columns=NONE)
    with pytest.raises(ValueError, match=r"--time: with a \.npy file"):
        read(
            tmp_path / "v.npy",
            user=str(tmp_path / "u.npy"),
            vector=[],
            columns=NONE | {"time": "time"},
        )
