"""SHA-256 of files, computed once for a file that stays as it is."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

SETTLED_S = 2.0
"""Age from which a file's times tell of its next change: clocks of file systems are coarse."""

_known: dict[tuple[int, ...], str] = {}


def state(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is written or replaced: device, inode, size, times in ns."""
    found = path.stat()
    return (
        *(found.st_dev, found.st_ino, found.st_size),
        *(found.st_mtime_ns, found.st_ctime_ns),
    )


def of_file(path: Path) -> str:
    """SHA-256 of a file's content, read again only when the file has changed.

    Raises
    ------
    OSError
        It cannot be read.
    """
    before = state(path)
    if before in _known:
        return _known[before]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    settled = time.time() - max(before[-2:]) / 1e9 > SETTLED_S
    if settled and state(path) == before:
        _known[before] = found
    return found
