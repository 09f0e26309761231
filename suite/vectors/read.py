"""Read vectors with their owners from a file of any format."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from attacks.audit.rounding import infinite_rows
from suite.datasets.reading.files import place
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
    """Read a table (Parquet, CSV and other separated text, JSON Lines), `.npz` or `.npy` files.

    Parameters
    ----------
    path
        The file; nothing in its name is a pattern. A `.npy` is a matrix with a row per vector.
    user
        Column of user ids, array of a `.npz`, or their `.npy` file.
    vector
        A column of lists, the prefix of numbered columns (``emb`` for ``emb_0``, ``emb_1``), or
        several columns; empty: found by themselves, see `suite.vectors.choice`. Not for `.npy`.
    columns
        Columns, or `.npy` files, of ``time``, ``role`` and ``session``; None takes the column of
        that name if there is one.
    without
        Of ``time``, ``role`` and ``session``: columns that only happen to bear these names.

    Returns
    -------
    Vectors
        Rows without a user id are left out, with a note; a session may be null.

    Raises
    ------
    ValueError
        One line: the file and column, what was found, what is allowed.
    """
    for name in without:
        if columns.get(name) is not None:
            raise ValueError(f"--{name} {columns[name]} and --no-{name} exclude each other")
    optional = {name: given for name, given in columns.items() if name not in without}
    suffix = path.suffix.lower()
    if suffix == ".npy":
        found = read_npy(path, user, vector, optional)
    elif suffix == ".npz":
        found = read_npz(path, user, vector, optional)
    else:
        found = read_table(path, user, vector, optional)
    if not len(found.vector):
        raise ValueError(f"{path}: no rows")
    for name, series in {"user ids": found.user, **found.columns}.items():
        if len(series) != len(found.vector):
            raise ValueError(f"{path}: {len(found.vector)} vectors, but {len(series)} {name}")
    return _cleaned(path, found, is_named=columns.get("role") is not None)


def _cleaned(path: Path, found: Vectors, *, is_named: bool) -> Vectors:
    """Leave out the rows without an owner; refuse what cannot be compared, by its row."""
    owner, num_stripped = clean.known(found.user, lambda row: place(path, row))
    kept = owner.is_not_null()
    if not kept.any():
        raise ValueError(f"{path}: {found.user.name}: no row has a user id")
    rows = kept.arg_true()
    matrix = found.vector if len(rows) == len(kept) else found.vector[rows.to_numpy()]
    _refuse_infinite(path, matrix, rows.to_numpy())

    def where(row: int | None) -> str:
        return place(path, None if row is None else int(rows[row]))

    columns = {}
    for name, series in found.columns.items():
        values = series.filter(kept)
        if name == "time":
            columns[name] = clean.times(values, where)
        elif name == "role":
            columns[name] = clean.roles(values, where, is_named=is_named)
        else:
            columns[name], _ = clean.known(values, where)
    notes = list(found.notes)
    if num_missing := len(kept) - len(rows):
        notes.append(f"{num_missing:,} vectors have no user id and are left out.")
    if num_stripped:
        notes.append(f"Blanks around {num_stripped:,} user ids are removed.")
    return Vectors(owner.filter(kept), matrix, columns, tuple(notes))


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
