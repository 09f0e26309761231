"""What a file holds, by its first bytes: compression, format, encoding and separator.

A suffix is only a claim. What contradicts it is named before a parser sees it, so that no bytes of
a binary file reach the terminal.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

HEAD_BYTES = 1 << 20
"""Of the unpacked content, enough for the header and first rows of a file of many columns."""

PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ\0": "xz"}
"""First bytes of the compressions that are unpacked."""

_LOOKS_LIKE = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow IPC",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x04\x22\x4d\x18": "lz4",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "HDF5",
    b"\x93NUMPY": "a NumPy array",
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
    b"%PDF": "PDF",
    b"\xff\xfe\0\0": "UTF-32 text",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    **dict.fromkeys((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a Python pickle"),
}

_SEPARATORS = ("\t", ",", ";", "|", "\x01", " ")
_NUM_LINES = 20


def packing(path: Path) -> str:
    """Name the compression of a file by its first bytes; empty where it has none."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((name for magic, name in PACKED.items() if start.startswith(magic)), "")


def unpacked(path: Path) -> IO[bytes]:
    """Open a file for reading what it holds without its compression."""
    name = packing(path)
    if name == "zstd":
        return cast(IO[bytes], pa.input_stream(str(path), compression="zstd"))
    if name == "xz":
        return lzma.open(path)
    if name == "bz2":
        return bz2.open(path)
    return cast(IO[bytes], gzip.open(path)) if name == "gzip" else path.open("rb")


def head(path: Path) -> bytes:
    """Read the first MiB of what a file holds.

    Raises
    ------
    ValueError
        If the file is empty, or packed and damaged.
    """
    try:
        with unpacked(path) as file:
            found = file.read(HEAD_BYTES)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise _damaged(path) from error
    except OSError as error:
        # Only a decoder's errors have no number; the system's say what is wrong with the path.
        raise (_damaged(path) if error.errno is None else error) from None
    if not found.strip():
        raise ValueError(f"{path}: empty file")
    return found


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{path}: cannot be unpacked, it is damaged or cut short")


def looks_like(content: bytes) -> str:
    """Name the format of binary content; empty for text."""
    known = (name for magic, name in _LOOKS_LIKE.items() if content.startswith(magic))
    binary = "a tar archive" if content[257:262] == b"ustar" else "a binary file"
    return next(known, binary if b"\0" in content else "")


def text(path: Path, content: bytes) -> str:
    """Decode the first bytes of a text file.

    Raises
    ------
    ValueError
        If they are those of a binary file, or not UTF-8; the line is named.
    """
    if name := looks_like(content):
        raise ValueError(f"{path}: looks like {name}, must be text or have the suffix of its kind")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start > len(content) - 4 and len(content) == HEAD_BYTES:
            return content[: error.start].decode("utf-8-sig")  # cut within a character
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: is not UTF-8 text") from None


def separator(sample: str, columns: Sequence[str] | None) -> str:
    r"""Find what separates the fields of a text file, a comma where there is only one.

    Parameters
    ----------
    sample
        Begin of the file.
    columns
        Names of the columns of a file without a header, as many as there are fields.

    Returns
    -------
    str
        Of tab, comma, semicolon, bar, ``\x01`` and blank the one that cuts every line into
        equally many fields, and the first line into most; a blank only where nothing else does.
    """
    lines = [line + "\n" for line in sample.split("\n")[: _NUM_LINES + 1]]
    found = {name: n for name in _SEPARATORS if (n := _num_fields(lines, name)) > 1}
    if columns and (fitting := [name for name, n in found.items() if n == len(columns)]):
        return fitting[0]
    if len(found) > 1:
        found.pop(" ", None)
    return max(found, key=lambda name: found[name], default=_of_header(lines[0]))


def _num_fields(lines: list[str], delimiter: str) -> int:
    """Count the fields that all lines have; 0 where they differ."""
    try:
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return 0
    # The last line may be cut, or begin a quoted text of several lines.
    lengths = {len(row) for row in (rows[:-1] if len(rows) > 2 else rows)}
    return lengths.pop() if len(lengths) == 1 else 0


def _of_header(line: str) -> str:
    """Separator that occurs most in the first line, where the lines are not equally long."""
    return max((",", *_SEPARATORS[:-1]), key=line.count)
