"""Conversion of native ids to the 64-bit ids of the canonical tables, equal in every adapter.

The hold-out, random halves of users and permutations of a user's events all depend on the canonical
id, so it must not depend on the other users in the log.
"""

from __future__ import annotations

import hashlib

import polars as pl

from suite.input.allowed import counted

_DECIMAL = r"^(?:0|-?[1-9][0-9]{0,18})$"


def canonical_ids(native: pl.Series) -> pl.Series:
    """Convert native ids to numbers that depend only on their text.

    An integer, as text or number (7, "7", 7.0), is its own canonical id. Any other text
    ("07", "u7", a number beyond 64 bits) is hashed: the first 64 bits of its BLAKE2b digest as a
    signed integer.

    Parameters
    ----------
    native
        Ids of any type with a text form; null stays null.

    Returns
    -------
    Series
        Int64, same name and length.

    Raises
    ------
    ValueError
        One line: two ids get the same number, which happens by chance once in 40 million logs of
        a million ids each.

    References
    ----------
    Saarinen and Aumasson, "The BLAKE2 Cryptographic Hash", RFC 7693, 2015.
    """
    if native.dtype.is_integer() and native.dtype not in (pl.UInt64, pl.Int128):
        return native.cast(pl.Int64)
    text = _text(native)
    distinct = text.drop_nulls().unique()
    number = pl.when(distinct.str.contains(_DECIMAL)).then(distinct).cast(pl.Int64, strict=False)
    integers = pl.select(text=distinct, id=number)
    hashed = integers["text"].filter(integers["id"].is_null())
    others = pl.DataFrame({"text": hashed, "id": pl.Series(map(_hash, hashed), dtype=pl.Int64)})
    table = pl.concat([integers.drop_nulls(), others])
    twice = table.filter(pl.col("id").is_duplicated()).sort("id", "text")["text"]
    if len(twice):
        raise ValueError(
            f"{native.name}: ids {twice[0]!r} and {twice[1]!r} get the same 64-bit number; "
            "rename one of them"
        )
    rows = pl.DataFrame({"text": text})
    return rows.join(table, on="text", how="left", maintain_order="left")["id"].alias(native.name)


def refuse_twice(native: pl.Series, path: str) -> None:
    """Reject a column in which an id occurs more than once, reporting the id as in the file.

    Parameters
    ----------
    native
        Ids of any type with a text form, for example those of a file of items.
    path
        Their file.

    Raises
    ------
    ValueError
        One line: the file and column, the first such id with its rows, the number of others.
    """
    rows = pl.DataFrame({"id": canonical_ids(native)}).with_row_index("row").drop_nulls()
    twice = rows.filter(pl.col("id").is_duplicated())
    if twice.is_empty():
        return
    first = twice.filter(pl.col("id") == twice["id"][0])["row"]
    name = _text(native)[int(first[0])]
    listed = ", ".join(map(str, first.head(5)))
    more = twice["id"].n_unique() - 1
    also = f", and {counted(more, 'other such id')}" if more else ""
    raise ValueError(
        f"{path}: {native.name} {name!r} occurs {len(first)} times, in rows {listed} (from 0)"
        f"{also}; ids must be unique"
    )


def _text(native: pl.Series) -> pl.Series:
    """Return ids as text, without a point for integers that were converted to floats."""
    spelled = native.cast(pl.String)
    if not native.dtype.is_float():
        return spelled
    whole = (native == native.floor()) & (native.abs() < 2.0**53)
    integers = native.cast(pl.Int64, strict=False).cast(pl.String)
    return integers.zip_with(whole.fill_null(value=False), spelled)


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
