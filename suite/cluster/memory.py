"""Return of freed memory to the operating system."""

from __future__ import annotations

import ctypes

import pyarrow as pa


def give_back() -> None:
    """Return freed memory, which a process that waits for its next task would keep.

    glibc keeps blocks below 32 MiB, Arrow's allocator keeps all. If the C library has no
    ``malloc_trim``, only Arrow's memory is returned.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
