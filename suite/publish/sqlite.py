"""SQLite files as tracking URIs: SQLAlchemy decodes percent signs in them and cuts at `?`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

SCHEME = "sqlite:///"


def uri(file: str | Path) -> str:
    """Return the URI of a file, whatever characters its path holds."""
    return SCHEME + str(file).replace("%", "%25").replace("?", "%3F")


def file(uri: str) -> Path | None:
    """Return the file that a URI names; None for one of another kind."""
    if not uri.startswith(SCHEME):
        return None
    return Path(unquote(uri.removeprefix(SCHEME).partition("?")[0])).absolute()
