"""SQLite files as tracking URIs, in which SQLAlchemy decodes percent signs and cuts at `?`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from filelock import FileLock, Timeout

SCHEME = "sqlite:///"

WAIT_S = 600.0
"""Time to wait for another run that writes to the file; recording takes at most a minute."""


def uri(file: str | Path) -> str:
    """Return the URI of a file, whose path may contain any character."""
    return SCHEME + str(file).replace("%", "%25").replace("?", "%3F")


def file(uri: str) -> Path | None:
    """Return the file of a SQLite URI; None for any other URI."""
    if not uri.startswith(SCHEME):
        return None
    return Path(unquote(uri.removeprefix(SCHEME).partition("?")[0])).absolute()


@contextmanager
def alone(uri: str) -> Iterator[None]:
    """Hold the lock of a SQLite file, which supports one writer at a time.

    Two users of a new file would otherwise both create its tables, and one would fail.

    Raises
    ------
    ValueError
        Another run has held the lock for ``WAIT_S`` seconds.
    """
    path = file(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{path}.lock", timeout=WAIT_S):
            yield
    except Timeout:
        raise ValueError(
            f"tracking store {uri}: another run has been writing to it for {WAIT_S:.0f} s; try "
            f"again when it has finished, or remove {path}.lock if no run is active"
        ) from None


def remove_undecoded(uri: str) -> None:
    """Remove the empty folder that MLflow makes for the path as written in the URI."""
    path = file(uri)
    as_written = Path(uri.removeprefix(SCHEME)).parent
    if path is not None and as_written.absolute() != path.parent:
        with suppress(OSError):
            as_written.rmdir()
