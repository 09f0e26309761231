"""Memory that a process has freed, given back to the system."""

from __future__ import annotations

import ctypes

import pyarrow as pa


def give_back() -> None:
    """Return what was freed, which a process that waits for its next task would go on holding.

    glibc keeps blocks below 32 MiB for itself, Arrow's allocator keeps all. Where the C library has
    no ``malloc_trim``, Arrow's alone goes back.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
