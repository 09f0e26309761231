"""Reading of files as Polars tables.

The suffix determines how a file is read: `.parquet` (`.pq`), `.jsonl` (`.ndjson`, `.json`: one
object per line), anything else as delimited text (`.csv`, `.tsv`, `.txt`, `.inter`, `.dat`, ...).
Text and JSON may be compressed (gzip, zstd, bz2, xz, detected from the content). The columns of
text files are read as text, which `suite.datasets.reading.ids`, `times` and `values` interpret.
"""

from __future__ import annotations

import glob
import io
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from suite.datasets.reading import content
from suite.datasets.reading.parquet import scan_parquet
from suite.datasets.reading.refusals import named, refusing, wrong_line

PARQUET = (".parquet", ".pq")
JSON_LINES = (".jsonl", ".ndjson", ".json")
_PACKED = (".gz", ".zst", ".bz2", ".xz")
_RECBOLE = re.compile(r"(.+):(?:token|float)(?:_seq)?")


@dataclass(frozen=True)
class Rows:
    """Columns of one file, or of several files concatenated, in memory.

    Attributes
    ----------
    frame
        The rows.
    files
        The files, in order.
    first
        Index of the first row of each file in ``frame``.
    """

    frame: pl.DataFrame
    files: tuple[Path, ...]
    first: tuple[int, ...]

    def place(self, row: int | None) -> str:
        """Return the location of a row for messages: file and row in the file, from 0."""
        if row is None:
            return place(self.files[0], None)
        number = bisect_right(self.first, row) - 1
        return place(self.files[number], row - self.first[number])


def place(path: Path | str, row: int | None) -> str:
    """Return the location of a row for messages: 0 is the first after the header, None any row."""
    return str(path) if row is None else f"{path}, row {row} (from 0)"


def listed(path: str | Path, parts: str | None = None) -> list[Path]:
    """List the file, or the files of a folder that match a pattern, in order of their names.

    Parameters
    ----------
    path
        A file; with ``parts`` a folder. Brackets and stars in it are literal.
    parts
        Pattern such as ``*.parquet`` or ``**/part-*``; names that begin with a dot or an
        underscore are left out.

    Raises
    ------
    ValueError
        There is no such file, it is a folder, or nothing matches.
    """
    if "://" in str(path):
        raise ValueError(f"{path}: is a URI, only local files are supported")
    path = Path(path)
    if parts is None:
        if path.is_dir():
            raise ValueError(f"{path}: is a folder; select files with parts, such as '*.parquet'")
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder; with parts ({parts!r}) it must be one")
    try:
        matching = sorted(path.glob(parts))
    except (ValueError, NotImplementedError):
        raise ValueError(f"parts: found {parts!r}, must be a pattern such as '*.parquet'") from None
    files = [file for file in matching if file.is_file() and file.name[0] not in "._"]
    if not files:
        raise ValueError(f"{path}: no file matches parts ({parts!r}), at least one is needed")
    return files


def scan(
    path: str | Path, *, separator: str | None = None, columns: Sequence[str] | None = None
) -> pl.LazyFrame:
    r"""Scan one file; see the module for the formats.

    Parameters
    ----------
    path
        The file; its name is not a pattern.
    separator
        Separator of a text file; any number of characters, ``\t`` also spelled out. None:
        detected from the first lines.
    columns
        Names of the columns of a text file without a header.

    Returns
    -------
    LazyFrame
        For a text file all columns are String; blanks around the names and RecBole's suffixes such
        as ``:token`` are removed. Collect it with ``collect``, which converts errors.

    Raises
    ------
    ValueError
        One line: the file's actual format, or what is wrong with it.
    """
    (path,) = listed(path)
    start = content.head(path)
    kind = _kind(path, start)
    given = {"separator": separator, "columns": columns}
    if kind != "text" and (unused := [name for name, value in given.items() if value]):
        raise ValueError(f"{path}: is {kind}, {' and '.join(unused)} are for text only")
    if kind == "Parquet":
        if not start.startswith(b"PAR1") or content.packing(path):
            found = content.packing(path) or content.looks_like(start) or "text"
            raise ValueError(f"{path}: looks like {found}, must be Parquet as its suffix says")
        return scan_parquet(path)
    sample = content.text(path, start)
    if kind == "JSON Lines":
        return _scan_json(path, sample)
    return _scan_text(path, sample, separator, columns)


def _kind(path: Path, start: bytes) -> str:
    """Determine how a file is read: by its suffix, or without one by its first bytes."""
    name = path.name.lower()
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    suffix = Path(name).suffix
    if suffix in PARQUET or (not suffix and start.startswith(b"PAR1")):
        return "Parquet"
    if suffix in JSON_LINES or (not suffix and start.lstrip().startswith(b"{")):
        return "JSON Lines"
    return "text"


def collect(rows: pl.LazyFrame, path: str | Path, *, separator: str | None = None) -> pl.DataFrame:
    """Collect the result of ``scan``, or any part of it.

    Raises
    ------
    ValueError
        One line: the file is damaged, or which of its lines is invalid.
    """
    with refusing(path):
        try:
            return rows.collect()
        except (pl.exceptions.PolarsError, OSError):
            if reason := _wrong_line(Path(path), separator):
                raise ValueError(f"{path}, {reason}") from None
            raise


def read(
    path: str | Path,
    names: Sequence[str],
    *,
    parts: str | None = None,
    separator: str | None = None,
    columns: Sequence[str] | None = None,
) -> Rows:
    """Read columns of one file, or of the files of a folder.

    Parameters
    ----------
    names
        Names of the columns; duplicates are read once.
    path, parts
        As for ``listed``.
    separator, columns
        As for ``scan``.

    Raises
    ------
    ValueError
        One line: the file, its missing columns and those that it has.
    """
    files = listed(path, parts)
    frames = []
    for file in files:
        rows = scan(file, separator=separator, columns=columns)
        require(file, names, rows.collect_schema().names())
        wanted = rows.select(*dict.fromkeys(names))
        frames.append(collect(wanted, file, separator=separator))
    first = [sum(frame.height for frame in frames[:number]) for number in range(len(frames))]
    try:
        frame = pl.concat(frames, how="vertical_relaxed")
    except pl.exceptions.PolarsError:
        number, name = next(
            (number, name)
            for number, frame in enumerate(frames)
            for name in frame.columns
            if frame.schema[name] != frames[0].schema[name]
        )
        raise ValueError(
            f"{files[number]}: {name} is {frames[number].schema[name]}, must be "
            f"{frames[0].schema[name]} like in {files[0]}"
        ) from None
    return Rows(frame, tuple(files), tuple(first))


def require(path: str | Path, names: Sequence[str], found: Sequence[str]) -> None:
    """Reject a file without the required columns.

    Raises
    ------
    ValueError
        One line: the missing columns, and the existing ones.
    """
    if missing := sorted(set(names) - set(found)):
        raise ValueError(f"{path}: no column {', '.join(missing)}, found {named(found)}")


def _scan_json(path: Path, sample: str) -> pl.LazyFrame:
    if not sample.lstrip().startswith("{"):
        raise ValueError(f"{path}: must be JSON Lines: one object in braces on each line")
    with refusing(path):
        # Polars treats the name as a pattern, and does not report the invalid line.
        rows = pl.scan_ndjson(_source(path, escape=True), infer_schema_length=None)
        try:
            rows.collect_schema()
        except pl.exceptions.PolarsError:
            raise ValueError(f"{path}, {wrong_line(path, None)}") from None
    return rows


def _scan_text(
    path: Path, sample: str, separator: str | None, columns: Sequence[str] | None
) -> pl.LazyFrame:
    if "\r" in sample and "\n" not in sample:
        raise ValueError(f"{path}: lines end in \\r, must end in \\n or \\r\\n")
    cut = _separator(sample, separator, columns)
    if len(cut.encode()) > 1:
        return _split_lines(path, sample, cut, columns)
    with refusing(path):
        rows = pl.scan_csv(
            _source(path),
            separator=cut,
            has_header=columns is None,
            infer_schema=False,
            glob=False,
        )
        return _named(path, rows, columns)


def _separator(sample: str, given: str | None, columns: Sequence[str] | None) -> str:
    spelled = {"\\t": "\t", "\\x01": "\x01"}
    return spelled.get(given or "", given) or content.separator(sample, columns)


def _wrong_line(path: Path, separator: str | None) -> str:
    start = content.head(path)
    kind = _kind(path, start)
    if kind == "text":
        cut = _separator(content.text(path, start), separator, None)
        return wrong_line(path, cut) if len(cut) == 1 else ""
    return wrong_line(path, None) if kind == "JSON Lines" else ""


def _named(path: Path, rows: pl.LazyFrame, columns: Sequence[str] | None) -> pl.LazyFrame:
    """Name the columns: as given, or as in the header, without blanks and type suffixes."""
    header = rows.collect_schema().names()
    if columns is not None:
        if len(columns) != len(header) or len(set(columns)) < len(columns):
            raise ValueError(
                f"{path}: columns: found {len(columns)} names ({len(set(columns))} distinct), "
                f"the first line has {len(header)} fields; one name for each is needed"
            )
        return rows.rename(dict(zip(header, columns, strict=True)))
    plain = [name.strip() for name in header]
    typed = [_RECBOLE.fullmatch(name) for name in plain]
    if all(typed):
        plain = [match[1] for match in typed if match]
    if len(set(plain)) < len(plain):
        return rows
    return rows.rename(dict(zip(header, plain, strict=True)))


def _split_lines(
    path: Path, sample: str, separator: str, columns: Sequence[str] | None
) -> pl.LazyFrame:
    """Split lines at a separator of several characters, such as ``::``, without quoting."""
    first = sample.split("\n", 1)[0].rstrip("\r").split(separator)
    names = [f"column_{number}" for number in range(len(first))]
    with refusing(path):
        lines = pl.scan_lines(_source(path), name="line", glob=False)
        fields = pl.col("line").str.split(separator)
        rows = lines.select(
            fields.list.get(number, null_on_oob=True).alias(name)
            for number, name in enumerate(names)
        )
        if columns is not None:
            return _named(path, rows, columns)
        return _named(path, rows.slice(1).rename(dict(zip(names, first, strict=True))), None)


def _source(path: Path, *, escape: bool = False) -> Path | str | io.BytesIO:
    """Return a source that Polars can scan; it decompresses gzip and zstd itself."""
    if content.packing(path) in ("bz2", "xz"):
        with content.unpacked(path) as file:
            return io.BytesIO(file.read())
    return glob.escape(str(path)) if escape else path
