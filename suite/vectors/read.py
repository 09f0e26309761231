"""Read user vectors from a file of any supported format."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from numpy.typing import NDArray

from attacks.audit.rounding import infinite_rows
from suite.datasets.reading.files import place
from suite.datasets.reading.values import Place
from suite.input.allowed import counted
from suite.vectors import clean
from suite.vectors.arrays import read_npy, read_npz
from suite.vectors.tables import read_table
from suite.vectors.vectors import Vectors


def read(
    path: Path,
    *,
    user: str,
    vector: Sequence[str],
    columns: Mapping[str, str | None],
    without: Collection[str] = (),
) -> Vectors:
    """Read a table (Parquet, CSV or other delimited text, JSON Lines), `.npz` or `.npy` files.

    Parameters
    ----------
    path
        The file; its name is not a pattern. A `.npy` file is a matrix with one row per vector.
    user
        Column of user ids, their array in a `.npz`, or their `.npy` file.
    vector
        A column of lists, the prefix of numbered columns (``emb`` for ``emb_0``, ``emb_1``), or
        several columns; if empty, see `suite.vectors.choice`. Not for `.npy`.
    columns
        Columns, or `.npy` files, of ``time``, ``role`` and ``session``; None: the column of that
        name, if any. ``attribute NAME`` and ``label NAME`` are read as classes.
    without
        Those of ``time``, ``role`` and ``session`` to ignore, even if there are such columns.

    Returns
    -------
    Vectors
        Without the rows that have no user id, which a note counts; a session may be null.

    Raises
    ------
    ValueError
        One line: the file and column, what was vectors, what is allowed.
    """
    for name in without:
        if columns.get(name) is not None:
            raise ValueError(f"--{name} {columns[name]} and --no-{name} are mutually exclusive")
    optional = {name: given for name, given in columns.items() if name not in without}
    suffix = path.suffix.lower()
    if suffix == ".npy":
        vectors = read_npy(path, user, vector, optional)
    elif suffix == ".npz":
        vectors = read_npz(path, user, vector, optional)
    else:
        vectors = read_table(path, user, vector, optional)
    if not len(vectors.vector):
        raise ValueError(f"{path}: no rows")
    for name, series in {"user ids": vectors.user, **vectors.columns}.items():
        if len(series) != len(vectors.vector):
            count = counted(len(vectors.vector), "vector")
            raise ValueError(f"{path}: found {count} but {len(series):,} {name}")
    return _cleaned(path, vectors, is_named=columns.get("role") is not None)


def _cleaned(path: Path, vectors: Vectors, *, is_named: bool) -> Vectors:
    """Drop the rows without a user; reject values that cannot be compared, by their row."""
    owner, num_stripped = clean.identifiers(vectors.user, lambda row: place(path, row))
    kept = owner.is_not_null()
    if not kept.any():
        raise ValueError(f"{path}: {vectors.user.name}: no row has a user id")
    rows = kept.arg_true()
    matrix = vectors.vector if len(rows) == len(kept) else vectors.vector[rows.to_numpy()]
    _refuse_infinite(path, matrix, rows.to_numpy())

    def where(row: int | None) -> str:
        return place(path, None if row is None else int(rows[row]))

    columns = {
        name: _column(name, series.filter(kept), where, is_named=is_named)
        for name, series in vectors.columns.items()
    }
    notes = list(vectors.notes)
    if num_missing := len(kept) - len(rows):
        notes.append(f"Left out {counted(num_missing, 'vector')} without a user id.")
    if num_stripped:
        notes.append(f"Removed blanks around {counted(num_stripped, 'user id')}.")
    return Vectors(owner.filter(kept), matrix, columns, tuple(notes))


def _column(name: str, values: pl.Series, where: Place, *, is_named: bool) -> pl.Series:
    if name == "time":
        return clean.times(values, where)
    if name == "role":
        return clean.roles(values, where, is_named=is_named)
    if name == "session":
        return clean.identifiers(values, where)[0]
    return clean.classes(values, where)


def _refuse_infinite(path: Path, matrix: NDArray[Any], rows: NDArray[Any]) -> None:
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
        raise ValueError(
            f"{path}: vector must be a matrix of numbers, got {matrix.dtype} of shape "
            f"{matrix.shape}"
        )
    bad = infinite_rows(matrix) if matrix.size else rows[:0]
    if bad.size:
        raise ValueError(
            f"{path}: vector must be finite as float32, got NaN or infinity in row {rows[bad[0]]}"
        )
