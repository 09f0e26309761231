"""Files that are replaced whole, on a disk or in an object store."""

from __future__ import annotations

import uuid
from contextlib import suppress
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
    partial = f"{path}.{uuid.uuid4().hex}"
    try:
        fs.pipe_file(partial, content)
        fs.mv(partial, path)
    except BaseException:
        # On a full disk what was written of it would be in the way of making room.
        with suppress(FileNotFoundError):
            fs.rm_file(partial)
        raise
