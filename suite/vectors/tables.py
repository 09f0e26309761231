"""Vectors in a table: Parquet, JSON Lines or delimited text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from suite.datasets.reading import files
from suite.datasets.reading.refusals import named
from suite.vectors.choice import DEFAULT, choose, refuse_one_of_many, summary
from suite.vectors.matrix import kinds, matrix
from suite.vectors.vectors import Vectors

SAMPLE_ROWS = 100
"""Number of rows from which the kinds of the columns of a text file are determined."""


def read_table(
    path: Path,
    user: str,
    vector: Sequence[str],
    columns: Mapping[str, str | None],
) -> Vectors:
    """Read a table; see `suite.vectors.read.read`.

    Raises
    ------
    ValueError
        One line: the file and column, what was found, what is allowed.
    """
    rows = files.scan(path)
    sample = files.collect(rows.head(SAMPLE_ROWS), path)
    optional = {
        role: name or role
        for role, name in columns.items()
        if name is not None or role in sample.columns
    }
    taken = [user, *optional.values()]
    if missing := [name for name in (*taken, *vector[1:]) if name not in sample.columns]:
        raise ValueError(
            f"{path}: no column {', '.join(map(repr, missing))}; found: {named(sample.columns)}"
        )
    kind = kinds(sample)
    try:
        listed = choose(kind, vector, taken=taken)
        if len(listed) == 1 and kind[listed[0]] == "number":
            refuse_one_of_many(listed[0], [name for name in sample.columns if name not in taken])
        frame = files.collect(rows.select(*dict.fromkeys([*taken, *listed])), path)
        values = matrix(frame.select(listed))
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    notes = []
    if not vector and listed != [DEFAULT]:
        notes.append(f"The vectors are {summary(listed)}, the only candidates.")
    series = {role: frame[name] for role, name in optional.items()}
    return Vectors(frame[user], values, series, tuple(notes))
