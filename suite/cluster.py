"""The Ray cluster that a suite runs on: a local one, or one that is already there."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to a Ray cluster inside the block.

    Parameters
    ----------
    address
        ``auto``, ``host:port`` or ``local``; None takes what ``ray job submit`` has set, and
        otherwise starts a local cluster that ends with the block. An existing connection is used.

    Raises
    ------
    ConnectionError
        If there is no cluster at the address; the line says how to start one.
    """
    if ray.is_initialized():
        yield
        return
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    local = {"include_dashboard": False} if where == "local" else {}
    try:
        ray.init(
            address=where,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **local,  # type: ignore[arg-type]
        )
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        msg = (
            f"no Ray cluster at {where!r}: {said[0][:160]}; start one with "
            "'ray start --head' on this machine, or leave --address out"
        )
        raise ConnectionError(msg) from None
    try:
        yield
    finally:
        ray.shutdown()
