"""Ray's storage through fsspec, so that Train and Tune can use the same URIs as the store."""

from __future__ import annotations

from typing import Any

import fsspec
from pyarrow.fs import FSSpecHandler, PyFileSystem


def storage(url: str) -> dict[str, Any]:
    """Return the arguments of a ``RunConfig`` with its state at a path or fsspec URI.

    By default Ray opens a URI with Arrow's clients, which support fewer stores and settings.
    """
    fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    if "file" in fs.protocol:
        return {"storage_path": path}
    return {"storage_path": path, "storage_filesystem": PyFileSystem(FSSpecHandler(fs))}
