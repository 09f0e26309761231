"""The durable state of an unfinished fit: one file, replaced whole."""

from __future__ import annotations

import io
from typing import Any

import fsspec
import torch

from suite.store.atomic import replace


def save(url: str, state: dict[str, Any]) -> None:
    """Replace the checkpoint at a path or fsspec URI; a killed writer leaves the old one."""
    fs, path = fsspec.core.url_to_fs(url)
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    replace(fs, path, buffer.getvalue())


def load(url: str) -> dict[str, Any] | None:
    """Read the checkpoint, or None where there is none; nothing in it is unpickled."""
    fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    if not fs.exists(path):
        return None
    # Whoever resumes may have no such device.
    read = io.BytesIO(fs.cat_file(path))
    state: dict[str, Any] = torch.load(read, map_location="cpu", weights_only=True)
    return state
