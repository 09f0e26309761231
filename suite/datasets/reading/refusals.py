"""Conversion of library errors about unreadable files to one-line errors.

Some damaged Parquet files make Polars panic: its threads write tracebacks to stderr, and the error
is not an `Exception`.
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
"""Time for which panicking threads may still write after the error has been raised."""


@contextmanager
def refusing(path: str | Path) -> Iterator[None]:
    """Convert errors of Polars and Arrow to one line with the file.

    Raises
    ------
    ValueError
        Instead of the library's error; a missing column or permission is not converted.
    """
    with _held_stderr():
        try:
            yield
        except (pl.exceptions.PolarsError, pa.ArrowException, UnicodeError) as error:
            reason = "".join(filter(str.isprintable, str(error).split("\n")[0]))
            raise ValueError(f"{path}: {_DAMAGED} ({reason[:_REASON_CHARACTERS]})") from None
        except pl.exceptions.PanicException:
            raise ValueError(f"{path}: {_DAMAGED}") from None
        except OSError as error:
            # Errors of decoders have no number; those of the system describe the problem.
            if error.errno is not None:
                raise
            raise ValueError(f"{path}: {_DAMAGED}") from None


_DAMAGED = "cannot be read, it is damaged, truncated or not what its suffix says"


@contextmanager
def _held_stderr() -> Iterator[None]:
    """Buffer what threads write to stderr, and discard it if an error is raised."""
    with _STDERR, tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        try:
            saved = os.dup(2)
        except OSError:  # no stderr, as in a daemon
            yield
            return
        os.dup2(held.fileno(), 2)
        raised = False
        try:
            yield
        except BaseException:
            raised = True
            if os.fstat(held.fileno()).st_size:
                time.sleep(_TRACE_S)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            if not raised and (written := held.read()):
                os.write(2, written)


def wrong_line(path: Path, separator: str | None) -> str:
    """Find the line of a text file that a parser cannot read.

    Parameters
    ----------
    separator
        Separator of the fields; None for JSON Lines.

    Returns
    -------
    str
        Line, from 1, and what is wrong with it; empty if none is found.
    """
    with content.unpacked(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"line {number}: is not UTF-8 text"
            if separator is None and line.strip() and not _is_object(line):
                return f"line {number}: is not a JSON object"
    if separator is None:
        return "a column has values of several types"
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
    """List names from a file for a message: printable, and at most ``at_most``."""
    shown = [name if name.isprintable() else repr(name) for name in names[:at_most]]
    more = [f"{len(names) - at_most} more"] * (len(names) > at_most)
    return ", ".join(shown + more)
