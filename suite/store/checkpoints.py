"""Checkpoints of unfinished fits: one file each, replaced atomically, with its own hash."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import fsspec

from suite.store.atomic import replace

SUFFIX = ".pt"

_HASH_BYTES = hashlib.sha256().digest_size


def save(url: str, state: dict[str, Any]) -> None:
    """Replace the checkpoint at a path or fsspec URI atomically."""
    import torch

    fs, path = fsspec.core.url_to_fs(url)
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    replace(fs, path, hashlib.sha256(content).digest() + content)


def load(url: str) -> dict[str, Any] | None:
    """Load the checkpoint; nothing in it is unpickled.

    Returns
    -------
    dict or None
        None if there is none, or if its content does not match its hash.
    """
    import torch

    fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    content = _content(fs, path) if fs.exists(path) else None
    if content is None:
        return None
    # The fit may resume on another device.
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def remove_damaged(url: str) -> list[str]:
    """Remove the checkpoints below a path or fsspec URI whose content does not match their hash.

    Returns
    -------
    list of str
        Paths of those removed.
    """
    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    paths = [path for path in fs.find(root) if path.endswith(SUFFIX)]
    damaged = [path for path in paths if _content(fs, path) is None]
    for path in damaged:
        fs.rm_file(path)
    return damaged


def _content(fs: Any, path: str) -> bytes | None:
    """Return the saved content without its hash; None if it does not match."""
    read: bytes = fs.cat_file(path)
    sha256, content = read[:_HASH_BYTES], read[_HASH_BYTES:]
    return content if hashlib.sha256(content).digest() == sha256 else None
