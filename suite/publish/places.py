"""Where results and tracking go: what was asked for, the environment, or a default."""

from __future__ import annotations

import os
from pathlib import Path

from suite.store.results import Store, public


def storage_url(storage: str | None) -> str:
    """Path or URI of the storage asked for, of that of the environment, or ``runs``."""
    return storage or os.environ.get("LATENTPRINT_STORAGE") or "runs"


def open_store(storage: str | None) -> Store:
    """Open the storage asked for, that of the environment, or ./runs.

    Raises
    ------
    ValueError
        Inside a Ray job when the path is relative: the job's folder is a copy that is thrown away.
        Of a URI whose protocol is unknown, or whose library is not installed.
    """
    url = storage_url(storage)
    if _in_job() and "://" not in url and not Path(url).is_absolute():
        msg = (
            f"storage: found the relative path {url!r} inside a Ray job, whose folder is thrown "
            "away; allowed: an absolute path or a URI, by --storage or LATENTPRINT_STORAGE"
        )
        raise ValueError(msg)
    try:
        return Store(url if "://" in url else str(Path(url).resolve()))
    except (ImportError, ValueError) as error:
        raise ValueError(f"storage: {public(url)}: {error}") from None


def _in_job() -> bool:
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def tracking_uri(given: str | None, store: Store) -> str:
    """Tracking store asked for, that of the environment, or a SQLite file in the storage."""
    if given and "@" in given and _in_job():
        raise ValueError(
            f"--tracking-uri: found a user or a password in {public(given)}, and a job's "
            "command line is shown on the dashboard; allowed: none, or MLFLOW_TRACKING_URI in the "
            "environment of `ray start`"
        )
    if uri := given or os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    if not store.is_local:
        msg = f"--tracking-uri: none given, and {store.url} cannot hold a SQLite file"
        raise ValueError(msg)
    from suite.publish import sqlite

    return sqlite.uri(f"{store.root}/mlflow.db")
