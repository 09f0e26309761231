"""What a library says of a file that it cannot read, in one line of ours.

Some damaged Parquet files make Polars panic: its threads write traces to stderr themselves, and
what is raised is no `Exception`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa

from suite.datasets.reading import content

_REASON_CHARACTERS = 100
_STDERR = threading.RLock()
_TRACE_S = 0.2
"""How long threads that panic may go on writing after the error has been raised."""


@contextmanager
def refusing(path: str | Path) -> Iterator[None]:
    """Name the file that Polars or Arrow cannot read, in one line.

    Raises
    ------
    ValueError
        In place of what the library raises; a missing column or right of access stay as they are.
    """
    with _held_stderr():
        try:
            yield
        except (pl.exceptions.PolarsError, pa.ArrowException, UnicodeError) as error:
            said = "".join(filter(str.isprintable, str(error).split("\n")[0]))
            raise ValueError(f"{path}: {_DAMAGED} ({said[:_REASON_CHARACTERS]})") from None
        except pl.exceptions.PanicException:
            raise ValueError(f"{path}: {_DAMAGED}") from None
        except OSError as error:
            # Only what a decoder raises has no number; the system's says what is wrong itself.
            if error.errno is not None:
                raise
            raise ValueError(f"{path}: {_DAMAGED}") from None


_DAMAGED = "cannot be read, it is damaged, cut short or not what its suffix says"


@contextmanager
def _held_stderr() -> Iterator[None]:
    """Hold back what threads write to stderr, and drop it where an error says it in one line."""
    with _STDERR, tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        try:
            saved = os.dup(2)
        except OSError:  # there is none, as in a daemon
            yield
            return
        os.dup2(held.fileno(), 2)
        told = False
        try:
            yield
        except BaseException:
            told = True
            if os.fstat(held.fileno()).st_size:
                time.sleep(_TRACE_S)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            if not told and (written := held.read()):
                os.write(2, written)


def wrong_line(path: Path, separator: str | None) -> str:
    """Say which line of a text file a parser must have stumbled over.

    Parameters
    ----------
    separator
        Of the fields; None for JSON Lines.

    Returns
    -------
    str
        Line, counted from 1, and what is wrong; empty if none stands out.
    """
    with content.unpacked(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"line {number}: is not UTF-8 text"
            if separator is None and line.strip() and not _is_object(line):
                return f"line {number}: is not an object of JSON"
    if separator is None:
        return "a column holds values of several types"
    return _wrong_fields(path, separator)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _wrong_fields(path: Path, separator: str) -> str:
    with content.unpacked(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        rows = csv.reader(text, delimiter=separator, strict=True)
        try:
            first = len(next(rows))
            for row in rows:
                if len(row) > first:
                    return (
                        f"line {rows.line_num}: has {len(row)} fields, the first line has {first}"
                    )
        except csv.Error:
            return f"line {rows.line_num}: a quote is not closed, or not doubled within a field"
    return ""


def named(names: Sequence[str], *, at_most: int = 20) -> str:
    """List names from a file for a message: printable, and not a thousand of them."""
    shown = [name if name.isprintable() else repr(name) for name in names[:at_most]]
    more = [f"{len(names) - at_most} more"] * (len(names) > at_most)
    return ", ".join(shown + more)
