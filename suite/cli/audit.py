"""Audit vectors in files: read them, attack them, print the findings and write them down."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from attacks.audit import Audit, audit
from attacks.base import Attack
from attacks.measures.risk import decile
from suite import registry
from suite.parts import Part

NEEDS = {
    "other_space": "vectors of a second training",
    "histories": "the histories behind the vectors",
    "background": "vectors of other users in two windows",
}
"""What an attack that holds more than vectors needs; such a one cannot audit bare vectors."""

COLUMNS = ("top1", "top5", "top10", "top20", "mrr", "median_rank", "bits", "lift")


@dataclass(frozen=True)
class Vectors:
    """Vectors with their owners, in the order of the file.

    Attributes
    ----------
    user : (n,)
        Ids of any type.
    vector : (n, d)
        Of numbers.
    columns
        ``time``, ``role`` and ``session``, those that there are.
    """

    user: pl.Series
    vector: NDArray[Any]
    columns: dict[str, pl.Series]

    def audit(self, **settings: Any) -> Audit:
        """Run `attacks.audit.audit`; users are numbered by the first row of each."""
        given = settings
        if "time" in self.columns:
            given["time"] = self.columns["time"].to_physical().to_numpy()
        if "role" in self.columns:
            given["role"] = self.columns["role"].cast(pl.String).fill_null("null").to_numpy()
        if "session" in self.columns:
            number = first_rows(self.columns["session"]).cast(pl.Float64)
            given["session"] = number.to_numpy()
        return audit(first_rows(self.user).to_numpy(), self.vector, **given)


def first_rows(values: pl.Series) -> pl.Series:
    """Replace values of any type by the first row that holds the same; null stays null."""
    rows = pl.DataFrame({"value": values}).with_row_index("row")
    first = pl.col("row").cast(pl.Int64).first().over("value")
    return rows.select(pl.when(pl.col("value").is_not_null()).then(first)).to_series()


def read(
    path: Path, *, user: str, vector: Sequence[str], columns: dict[str, str | None]
) -> Vectors:
    """Read a Parquet file, or `.npy` files.

    Parameters
    ----------
    path
        A Parquet file, or a `.npy` matrix with a row per vector.
    user
        Column of user ids, or their `.npy` file.
    vector
        A column of lists, the prefix of numbered columns (``emb`` for ``emb_0``, ``emb_1``), or
        several columns. Not for `.npy`.
    columns
        Columns, or `.npy` files, of ``time``, ``role`` and ``session``; None takes the column of
        that name if there is one.

    Raises
    ------
    ValueError
        One line: the file and column, what was found, what is allowed.
    """
    if path.suffix == ".npy":
        named = {name: _npy(Path(file)) for name, file in columns.items() if file is not None}
        if not user.endswith(".npy"):
            raise ValueError(f"--user: a .npy of vectors needs a .npy of user ids, got {user!r}")
        found = Vectors(
            pl.Series("user", _npy(Path(user))),
            _npy(path),
            {name: pl.Series(name, values) for name, values in named.items()},
        )
    else:
        found = _parquet(path, user, list(vector), columns)
    if not len(found.vector):
        raise ValueError(f"{path}: no rows")
    lengths = {"user ids": len(found.user)} | {name: len(s) for name, s in found.columns.items()}
    for name, length in lengths.items():
        if length != len(found.vector):
            raise ValueError(f"{path}: {len(found.vector)} vectors, but {length} {name}")
    if found.user.null_count():
        raise ValueError(
            f"{path}: {user}: a user id is null in row {found.user.is_null().arg_max()}"
        )
    return found


def run(source: Vectors, *, name: str, attacks: Sequence[str], out: Path, **settings: Any) -> Audit:
    """Audit, write the results to ``out`` and print them.

    Parameters
    ----------
    source
        What to audit.
    name
        Of the source, for error messages and the title.
    attacks
        Each as in a suite file: a name, ``path/to/file.py:Class``, or ``name: {parameters}``.
    out
        Folder for audit.json, audit.csv and users.parquet.
    settings
        Of `attacks.audit.audit`.

    Raises
    ------
    ValueError
        If an attack is unknown, or the vectors cannot be audited; nothing is written then.
    """
    chosen = {text: _attack(text) for text in attacks}
    try:
        found = source.audit(attacks=chosen, **settings)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    write(found, source.user, out)
    show(found, name)
    return found


def write(found: Audit, user: pl.Series, out: Path) -> None:
    """Write audit.json, audit.csv (a row per attack) and users.parquet (one per attack and user).

    Each file is complete under its name or not there.
    """
    activity = np.bincount(first_rows(user).to_numpy())
    tables = []
    for result in found.attacks:
        risk = result.users
        tables.append(
            pl.DataFrame(
                {
                    "user_id": user.gather(risk.user),
                    "attack": [result.attack] * len(risk.user),
                    "num_vectors": activity[risk.user],
                    "activity_decile": decile(activity[risk.user]),
                    "num_probes": risk.num_probes,
                    "top1": risk.top1,
                    "mean_rank": risk.mean_rank,
                    "always": risk.always,
                    "never": risk.never,
                }
            )
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as name:
        folder = Path(name)
        pl.concat(tables).write_parquet(folder / "users.parquet")
        with (folder / "audit.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(found.attacks[0].row), lineterminator="\n")
            writer.writeheader()
            writer.writerows(result.row for result in found.attacks)
        (folder / "audit.json").write_text(json.dumps(found.to_dict(), indent=1) + "\n")
        for path in sorted(folder.iterdir()):
            path.replace(out / path.name)


def show(found: Audit, title: str) -> None:
    """Print the sentences and a table of the figures."""
    console = Console(highlight=False, markup=False)
    console.print(title, *found.words, sep="\n", soft_wrap=True)
    table = Table("attack", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for result in found.attacks:
        figures = (result.figures[name] for name in COLUMNS)
        table.add_row(result.attack, *("" if x is None else f"{x:,.4g}" for x in figures))
    console.print(table)


def _attack(text: str) -> Attack:
    part = Part.model_validate(yaml.safe_load(text))
    if needs := registry.part("attacks", part.name).needs:
        needed = ", ".join(NEEDS[name] for name in sorted(needs))
        raise ValueError(f"--attack {part.name}: does not apply, it needs {needed}")
    attack: Attack = registry.create("attacks", part.name, part.parameters)
    return attack


def _npy(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a readable .npy file: {error}") from None
    return array


def _parquet(path: Path, user: str, vector: list[str], columns: dict[str, str | None]) -> Vectors:
    try:
        schema = pl.read_parquet_schema(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: not a Parquet file: {error}") from None
    optional = {
        role: name or role for role, name in columns.items() if name is not None or role in schema
    }
    listed = vector if len(vector) > 1 else _vector_columns(vector[0], schema)
    _check_columns(path, [user, *optional.values(), *listed], schema)
    frame = pl.read_parquet(path, columns=list(dict.fromkeys([user, *optional.values(), *listed])))
    series = {role: frame[name] for role, name in optional.items()}
    return Vectors(frame[user], _matrix(path, frame.select(listed)), series)


def _check_columns(path: Path, names: list[str], schema: dict[str, pl.DataType]) -> None:
    missing = [name for name in names if name not in schema]
    if missing:
        raise ValueError(
            f"{path}: no column {', '.join(map(repr, missing))}; found: {', '.join(schema)}"
        )


def _vector_columns(name: str, schema: dict[str, pl.DataType]) -> list[str]:
    """Name the column itself, or those that continue its name with a number, in that order."""
    if name in schema:
        return [name]
    matches = [re.fullmatch(re.escape(name) + r"_?(\d+)", column) for column in schema]
    numbered = sorted((int(match[1]), match[0]) for match in matches if match)
    return [column for _, column in numbered] or [name]


def _matrix(path: Path, frame: pl.DataFrame) -> NDArray[Any]:
    """Vectors of one list column, or of one column per dimension."""
    for name, dtype in frame.schema.items():
        inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
        if not inner.is_numeric() or (len(frame.columns) > 1 and inner is not dtype):
            raise ValueError(f"{path}: column {name!r}: {dtype} holds no numbers")
        if frame[name].null_count():
            row = frame[name].is_null().arg_max()
            raise ValueError(f"{path}: column {name!r}: null in row {row}")
    column = frame.to_series()
    if isinstance(column.dtype, pl.List) and len(column):
        lengths = column.list.len()
        if lengths.n_unique() > 1:
            row = (lengths != lengths[0]).arg_max()
            raise ValueError(
                f"{path}: column {column.name!r}: {lengths[row]} dimensions in row {row}, "
                f"{lengths[0]} in row 0; all vectors need the same number"
            )
        column = column.list.to_array(lengths[0])
    return column.to_numpy() if isinstance(column.dtype, pl.Array) else frame.to_numpy()
