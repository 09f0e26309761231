"""Atomic replacement of files, on a disk or in an object store."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any


def replace(fs: Any, path: str, content: bytes) -> None:
    """Replace a file atomically: a reader sees the old content or the new, even after a kill.

    Parameters
    ----------
    fs
        An fsspec file system.
    path
        Path in that file system; the folder must exist.
    content
        New content.
    """
    if "file" not in fs.protocol:  # an object appears only when its upload is complete
        fs.pipe_file(path, content)
        return
    partial = Path(f"{path}.{uuid.uuid4().hex}")
    try:
        partial.write_bytes(content)
        sync(partial)
        partial.replace(path)
        sync(partial.parent)
    except BaseException:
        # On a full disk a partial file would take space.
        with suppress(FileNotFoundError):
            partial.unlink()
        raise


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk.

    Otherwise a crash of the machine could leave a marker, or a name, without the content.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        # Some network file systems cannot sync folders; there is no alternative.
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
