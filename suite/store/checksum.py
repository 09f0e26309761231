"""SHA-256 of files, cached until a file changes."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

SETTLED_S = 2.0
"""Age from which a file's times will show its next change: file system clocks are coarse."""

_hashes: dict[tuple[int, ...], str] = {}


def state(path: Path) -> tuple[int, ...]:
    """Return what changes with any write or replacement: device, inode, size, times in ns."""
    stat = path.stat()
    return (
        *(stat.st_dev, stat.st_ino, stat.st_size),
        *(stat.st_mtime_ns, stat.st_ctime_ns),
    )


def of_file(path: Path) -> str:
    """SHA-256 of a file's content, computed again only when the file has changed.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    before = state(path)
    if before in _hashes:
        return _hashes[before]
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    settled = time.time() - max(before[-2:]) / 1e9 > SETTLED_S
    if settled and state(path) == before:
        _hashes[before] = sha256
    return sha256
