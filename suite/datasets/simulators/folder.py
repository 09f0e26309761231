"""A folder of simulated files, which appears when everything in it is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def complete(directory: Path) -> Iterator[Path]:
    """Give a temporary folder; it becomes ``directory`` when the block ends without an error.

    Parameters
    ----------
    directory
        New or empty.

    Raises
    ------
    ValueError
        If the folder holds something.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"{directory}: exists and is not empty, a new or empty folder is needed")
    temporary = directory.parent / f".{directory.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if directory.exists():
            directory.rmdir()
        temporary.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check(identity: float, drift: float, **numbers: tuple[int, int]) -> None:
    """Raise ValueError unless both shares are in [0, 1] and each number has its least value.

    Parameters
    ----------
    identity, drift
        Shares.
    numbers
        By name: what was found, and the least that is allowed.
    """
    for name, share in (("identity", identity), ("drift", drift)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name}: found {share}, must be in [0, 1]")
    for name, (number, least) in numbers.items():
        if number < least:
            raise ValueError(f"{name}: found {number}, must be at least {least}")
