"""Detection of compression, format, encoding and separator from the first bytes of a file.

A suffix may be wrong. Contradictions are reported before a parser reads the file, so that no bytes
of a binary file reach the terminal.
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
"""Bytes of decompressed content, enough for the header and first rows of a wide file."""

COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
}
"""First bytes of the supported compressions."""

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
    """Return the compression of a file by its first bytes; empty if it has none."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((name for magic, name in COMPRESSIONS.items() if start.startswith(magic)), "")


def unpacked(path: Path) -> IO[bytes]:
    """Open a file for reading its decompressed content."""
    name = packing(path)
    if name == "zstd":
        return cast(IO[bytes], pa.input_stream(str(path), compression="zstd"))
    if name == "xz":
        return lzma.open(path)
    if name == "bz2":
        return bz2.open(path)
    return cast(IO[bytes], gzip.open(path)) if name == "gzip" else path.open("rb")


def head(path: Path) -> bytes:
    """Read the first MiB of a file's decompressed content.

    Raises
    ------
    ValueError
        The file is empty, or its compressed content is damaged.
    """
    try:
        with unpacked(path) as file:
            start = file.read(HEAD_BYTES)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise _damaged(path) from error
    except OSError as error:
        # Errors of decoders have no number; those of the system describe the problem themselves.
        raise (_damaged(path) if error.errno is None else error) from None
    if not start.strip():
        raise ValueError(f"{path}: empty file")
    return start


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{path}: cannot be decompressed, it is damaged or truncated")


def looks_like(content: bytes) -> str:
    """Return the format of binary content; empty for text."""
    formats = (name for magic, name in _LOOKS_LIKE.items() if content.startswith(magic))
    binary = "a tar archive" if content[257:262] == b"ustar" else "a binary file"
    return next(formats, binary if b"\0" in content else "")


def text(path: Path, content: bytes) -> str:
    """Decode the first bytes of a text file.

    Raises
    ------
    ValueError
        They are those of a binary file, or not UTF-8; the message has the line.
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
    r"""Detect the separator of the fields of a text file; a comma if there is one field only.

    Parameters
    ----------
    sample
        Beginning of the file.
    columns
        Names of the columns of a file without a header, as many as there are fields.

    Returns
    -------
    str
        The one of tab, comma, semicolon, bar, ``\x01`` and blank that splits every line into the
        same number of fields, and into the most; a blank only if no other does.
    """
    lines = [line + "\n" for line in sample.split("\n")[: _NUM_LINES + 1]]
    counts = {name: n for name in _SEPARATORS if (n := _num_fields(lines, name)) > 1}
    if columns and (fitting := [name for name, n in counts.items() if n == len(columns)]):
        return fitting[0]
    if len(counts) > 1:
        counts.pop(" ", None)
    return max(counts, key=lambda name: counts[name], default=_of_header(lines[0]))


def _num_fields(lines: list[str], delimiter: str) -> int:
    """Count the fields of the lines; 0 if the lines differ."""
    try:
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return 0
    # The last line may be truncated, or begin quoted text of several lines.
    lengths = {len(row) for row in (rows[:-1] if len(rows) > 2 else rows)}
    return lengths.pop() if len(lengths) == 1 else 0


def _of_header(line: str) -> str:
    """Return the most frequent separator of the first line, if lines differ in length."""
    return max((",", *_SEPARATORS[:-1]), key=line.count)
