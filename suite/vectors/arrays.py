"""Vectors in NumPy files: `.npy` with one array, `.npz` with several."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.datasets.reading.refusals import named
from suite.vectors.choice import DEFAULT
from suite.vectors.vectors import Vectors

Array = NDArray[Any]


def read_npy(
    path: Path, user: str, vector: Sequence[str], columns: Mapping[str, str | None]
) -> Vectors:
    """Read a `.npy` matrix, and the `.npy` files of its users and other columns.

    Parameters
    ----------
    path, user
        Files of the vectors and of their users.
    vector
        Must be empty: a `.npy` has no names.
    columns
        Files of ``time``, ``role`` and ``session``; None if there is none.

    Raises
    ------
    ValueError
        One line: a file has no array, or not one of plain values.
    """
    given = {name: file for name, file in columns.items() if file is not None}
    if vector:
        raise ValueError(f"--vector {vector[0]}: a .npy file has one array, omit the option")
    for name, file in {"user": user, **given}.items():
        if not file.endswith(".npy"):
            raise ValueError(
                f"--{name}: with a .npy file of vectors it must be a .npy file, got {file!r}"
            )
    return Vectors(
        _series("user", user, _npy(Path(user))),
        _npy(path),
        {name: _series(name, file, _npy(Path(file))) for name, file in given.items()},
    )


def read_npz(
    path: Path, user: str, vector: Sequence[str], columns: Mapping[str, str | None]
) -> Vectors:
    """Read arrays of a `.npz` file by name.

    Parameters
    ----------
    path
        The file.
    user
        Name of the array of user ids.
    vector
        Name of the matrix; if empty, ``vector`` or the only matrix.
    columns
        Names of ``time``, ``role`` and ``session``; None: the array of that name, if any.

    Raises
    ------
    ValueError
        One line: the file is damaged, an array is missing or not of plain values, or several
        arrays could be the vectors.
    """
    if len(vector) > 1:
        raise ValueError("--vector: the vectors of a .npz file are one array, got several names")
    with _refusing(path, ".npz"), path.open("rb") as opened:
        loaded = np.load(opened, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("it contains a single array, as .npy files do")
        with loaded as file:
            keys = list(file)
            optional = {
                role: name or role
                for role, name in columns.items()
                if name is not None or role in keys
            }
            wanted = [user, *optional.values(), *(vector or [DEFAULT])]
            is_named = bool(vector) or DEFAULT in keys
            arrays = {key: file[key] for key in keys if key in wanted or not is_named}
    matrix = wanted[-1] if is_named else _only_matrix(path, arrays)
    if missing := sorted({*wanted[:-1], matrix} - arrays.keys()):
        raise ValueError(f"{path}: no array {named(missing)}; found: {named(keys)}")
    return Vectors(
        _series(user, f"{path}: {user}", arrays[user]),
        arrays[matrix],
        {role: _series(name, f"{path}: {name}", arrays[name]) for role, name in optional.items()},
    )


def _only_matrix(path: Path, arrays: Mapping[str, Array]) -> str:
    matrices = [key for key, array in arrays.items() if array.ndim == 2]
    if len(matrices) > 1:
        raise ValueError(
            f"{path}: several arrays could be the vectors: {named(matrices)}; choose with --vector"
        )
    return matrices[0] if matrices else DEFAULT


def _npy(path: Path) -> Array:
    with _refusing(path, ".npy"), path.open("rb") as opened:
        array = np.load(opened, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it contains several arrays, as .npz files do")
    return array


@contextmanager
def _refusing(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError, KeyError) as error:
        reason = "".join(filter(str.isprintable, str(error)))[:200]
        raise ValueError(f"{path}: not a readable {kind} file: {reason}") from None


def _series(name: str, where: str, array: Array) -> pl.Series:
    """Convert one value per vector to a type that Polars supports."""
    if array.ndim != 1 or array.dtype.kind not in "biufUSMm":
        raise ValueError(
            f"{where}: must be one value per vector, of numbers, text or times, got {array.dtype} "
            f"of shape {array.shape}"
        )
    if array.dtype.kind in "Mm" and np.datetime_data(array.dtype)[0] != "ns":
        array = array.astype(f"{array.dtype.kind}8[us]")
    elif array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return pl.Series(name, array.astype(array.dtype.newbyteorder("=")))
