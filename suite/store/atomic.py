"""Files that are replaced whole, on a disk or in an object store."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any


def replace(fs: Any, path: str, content: bytes) -> None:
    """Replace a file: a killed writer leaves the old one, a reader sees the old or the new one.

    Parameters
    ----------
    fs
        An fsspec file system.
    path
        Within it; its folder exists.
    content
        Of the new file.
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
        # On a full disk what was written of it would be in the way of making room.
        with suppress(FileNotFoundError):
            partial.unlink()
        raise


def sync(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk.

    Else a crash of the machine could leave a marker, or a name, without the content.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        # Some network file systems cannot do this for folders; there is no other way then.
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
