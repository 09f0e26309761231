"""Selection of the columns of a table that contain the vectors.

Vectors are one column of lists, or numbered columns with a common prefix (``emb_0``, ``emb_1``, ..;
pandas writes ``0``, ``1``, ..). Ambiguous columns are an error, never chosen silently.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from suite.datasets.reading.refusals import named

Kind = Literal["list", "number", "other"]

DEFAULT = "vector"
"""Column, or prefix of numbered columns, that is the default."""

_NUMBERED = re.compile(r"(.*?)_?([0-9]+)", re.DOTALL)


def choose(
    kinds: Mapping[str, Kind], given: Sequence[str] = (), *, taken: Collection[str] = ()
) -> list[str]:
    """Return the names of the columns of the vectors, in order.

    Parameters
    ----------
    kinds
        Kind of every column of the table: lists of numbers, numbers, or other.
    given
        One column of lists, one prefix, or several columns; if empty, the default or the only
        possible columns.
    taken
        Columns in use, such as the user ids.

    Raises
    ------
    ValueError
        One line: there is no such column, or more than one choice.
    """
    if len(given) > 1:
        if twice := sorted({name for name in given if given.count(name) > 1}):
            raise ValueError(f"--vector: {named(twice)} is given twice")
        return list(given)
    if given:
        return _of_name(given[0], list(kinds))
    free = [name for name in kinds if name not in taken]
    families = {
        prefix: columns
        for prefix, columns in _families(free).items()
        if len(columns) > 1 and any(kinds[name] == "number" for name in columns)
    }
    if DEFAULT in free and kinds[DEFAULT] == "list":
        return [DEFAULT]
    if DEFAULT in families and DEFAULT not in free:
        return _of_name(DEFAULT, free)
    candidates = [[name] for name in free if kinds[name] == "list" or name == DEFAULT]
    candidates += [_distinct(columns) for columns in families.values()]
    if len(candidates) > 1:
        listed = named([summary(columns) for columns in candidates])
        raise ValueError(
            f"several columns could be the vectors: {listed}; choose a column, or the prefix of "
            "numbered ones, with --vector"
        )
    if not candidates:
        raise ValueError(
            f"no column {DEFAULT!r}; found: {named(list(kinds))}; choose one with --vector"
        )
    return candidates[0]


def _of_name(name: str, names: Sequence[str]) -> list[str]:
    """Return the column of a name, or the columns that continue it with a number."""
    matches = [re.fullmatch(re.escape(name) + r"_?([0-9]+)", one) for one in names]
    numbered = sorted((int(match[1]), match[0]) for match in matches if match)
    if name not in names:
        if not numbered:
            raise ValueError(f"no column {name!r}; found: {named(names)}")
        return _distinct([one for _, one in numbered])
    return [name]


def refuse_one_of_many(name: str, names: Sequence[str]) -> None:
    """Reject a single column of numbers that has numbered siblings.

    Raises
    ------
    ValueError
        One line that lists the siblings.
    """
    families = _families(names)
    numbered = families.get(name, [])
    siblings = next((columns for columns in families.values() if name in columns), [])
    if others := numbered or (siblings if len(siblings) > 1 else []):
        raise ValueError(
            f"--vector {name}: is a single column of numbers beside {summary(others)}; give every "
            "column, or the prefix of numbered ones"
        )


def _families(names: Sequence[str]) -> dict[str, list[str]]:
    """Group numbered columns by prefix, each group in the order of its numbers."""
    families: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            families.setdefault(match[1], []).append((int(match[2]), name))
    return {prefix: [name for _, name in sorted(columns)] for prefix, columns in families.items()}


def _distinct(columns: list[str]) -> list[str]:
    """Refuse numbered columns of which two have the same number, such as emb_1 and emb_01."""
    number = {name: int(re.findall(r"[0-9]+$", name)[0]) for name in columns}
    for one, other in pairwise(columns):
        if number[one] == number[other]:
            raise ValueError(
                f"columns {one!r} and {other!r} have the same number; give every column, in order"
            )
    return columns


def summary(columns: Sequence[str]) -> str:
    """Return the names of the columns of a vector, abbreviated, for a message."""
    if len(columns) == 1:
        return repr(columns[0])
    return f"{columns[0]!r} .. {columns[-1]!r} ({len(columns)} columns)"
