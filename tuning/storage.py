"""Ray's storage through fsspec: what opens a suite's results opens Train's and Tune's as well."""

from __future__ import annotations

from typing import Any

import fsspec
from pyarrow.fs import FSSpecHandler, PyFileSystem


def storage(url: str) -> dict[str, Any]:
    """Arguments of a ``RunConfig`` that keep its state below a path or fsspec URI.

    Ray alone would open a URI by Arrow's own clients, which know fewer stores and other settings.
    """
    fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    if "file" in fs.protocol:
        return {"storage_path": path}
    return {"storage_path": path, "storage_filesystem": PyFileSystem(FSSpecHandler(fs))}
