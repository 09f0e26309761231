"""SQLite files as tracking URIs: SQLAlchemy decodes percent signs in them and cuts at `?`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from filelock import FileLock, Timeout

SCHEME = "sqlite:///"

WAIT_S = 600.0
"""For another run that writes to the same SQLite file; recording takes seconds to a minute."""


def uri(file: str | Path) -> str:
    """Return the URI of a file, whatever characters its path holds."""
    return SCHEME + str(file).replace("%", "%25").replace("?", "%3F")


def file(uri: str) -> Path | None:
    """Return the file that a URI names; None for one of another kind."""
    if not uri.startswith(SCHEME):
        return None
    return Path(unquote(uri.removeprefix(SCHEME).partition("?")[0])).absolute()


@contextmanager
def alone(uri: str) -> Iterator[None]:
    """Wait until no other run writes to a SQLite file, which has one writer at a time.

    The first two users of a fresh file would both create its tables, and one of them fail.

    Raises
    ------
    ValueError
        The other run has not ended within ``WAIT_S`` seconds.
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
            f"again when it has ended, or remove {path}.lock if none is running"
        ) from None


def remove_undecoded(uri: str) -> None:
    """Remove the empty folder that MLflow makes for the path as it is spelled in the URI."""
    path = file(uri)
    spelled = Path(uri.removeprefix(SCHEME)).parent
    if path is not None and spelled.absolute() != path.parent:
        with suppress(OSError):
            spelled.rmdir()
