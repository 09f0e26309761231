"""Orchestration: the only package that knows models, attacks and tuning.

``run``, ``load`` and ``audit`` are the commands of the same names, for Python. Importing the
package loads nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attacks.audit import Audit
    from suite.leaderboard.rows import Leaderboard

__all__ = ["audit", "load", "run"]


def run(
    suite: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    storage: str | Path | None = None,
    tracking_uri: str | None = None,
    address: str | None = None,
    progress: bool = True,
) -> Leaderboard:
    """Run a suite and publish its leaderboard; what is finished is not done again.

    Parameters
    ----------
    suite
        Name of a recipe, such as ``quick``, or path or URI of a suite file.
    overrides
        Values by dotted key, such as ``{"training.epochs": 2}``.
    storage
        Folder or fsspec URI of results; None takes ``$LATENTPRINT_STORAGE`` or ``./runs``.
    tracking_uri
        MLflow; None takes ``$MLFLOW_TRACKING_URI`` or a SQLite file in the storage.
    address
        Ray cluster, ``auto`` or ``host:port``; None uses the one that is connected, that of
        ``$RAY_ADDRESS``, or a local one for the time of the run.
    progress
        Whether progress is shown on stderr.

    Returns
    -------
    Leaderboard
        One row per cell. A failed cell has its reason; the others are complete.

    Raises
    ------
    ValueError
        The suite or its data is wrong; no cell was started.
    ConnectionError
        There is no cluster at the address, or no tracking server at the URI.
    """
    # Ray's workers inherit it, see `suite.cli.main`.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

    from rich.console import Console

    from suite import pipeline, spec
    from suite.publish import places

    store = places.open_store(_text(storage))
    chosen = spec.load(str(suite), overrides)
    return pipeline.run(
        chosen,
        store,
        tracking_uri=places.tracking_uri(tracking_uri, store),
        address=address,
        console=Console(stderr=True, quiet=not progress),
    )


def load(place: str | Path | None = None, suite: str | None = None) -> Leaderboard:
    """Read a published leaderboard.

    Parameters
    ----------
    place
        Storage, as a folder or fsspec URI, or a ``leaderboard.json``; None takes
        ``$LATENTPRINT_STORAGE`` or ``./runs``.
    suite
        Name; None takes the suite of the storage that was published last. Not for a file.

    Returns
    -------
    Leaderboard
        ``rows`` holds one object per cell, ``frame()`` the same for Polars.

    Raises
    ------
    ValueError
        No such suite has been run there, or the file is no leaderboard.
    OSError
        The file cannot be read.
    """
    import fsspec

    from suite.leaderboard.rows import Leaderboard
    from suite.publish import places

    where = _text(place)
    if where is None or not where.endswith(".json"):
        text = places.open_store(where).read_published(suite, "leaderboard.json")
        return Leaderboard.from_json(text)
    if suite is not None:
        raise ValueError(f"suite: found {suite!r} beside the file {where}; allowed: None")
    with fsspec.open(where, encoding="utf-8", mode="r") as file:
        return Leaderboard.from_json(file.read())


def audit(  # noqa: PLR0913 - each column of the data is one
    file: str | Path,
    *,
    user: str = "user_id",
    vector: str | Sequence[str] = (),
    time: str | None = None,
    role: str | None = None,
    session: str | None = None,
    without: Collection[str] = (),
    attacks: Sequence[str] = ("cosine", "euclidean"),
    defenses: Sequence[str] = (),
    attributes: Sequence[str] = (),
    out: str | Path | None = None,
    **settings: Any,
) -> Audit:
    """Attack the vectors of a file, and say how often that identifies their users.

    For vectors in memory, call `attacks.audit.audit`.

    Parameters
    ----------
    file
        Parquet, CSV, JSON Lines, ``.npz``, or a ``.npy`` matrix.
    user
        Column (or ``.npy``) of user ids.
    vector
        Column of lists, prefix of numbered columns, or several columns; empty: ``vector``, else
        the only column of lists or numbered columns.
    time, role, session
        Columns (or ``.npy``); None takes the column of that name, if there is one.
    without
        Of ``time``, ``role`` and ``session``: columns that only happen to bear these names.
    attacks
        Each as in a suite file: a name, ``path/to/file.py:Class``, or ``name: {parameters}``.
    defenses
        Likewise: what each releases of the vectors is audited too.
    attributes
        Columns (or ``.npy``) to infer from the vectors.
    out
        Folder for audit.json, audit.csv and users.parquet; None writes nothing.
    settings
        ``forecast_to``, ``replicates`` and ``seed`` of `attacks.audit.audit`.

    Returns
    -------
    Audit
        ``words`` holds its sentences, ``to_dict()`` audit.json.

    Raises
    ------
    ValueError
        One line: the file and column or the attack, what was found, what is allowed.
    OSError
        The file cannot be read.
    """
    from suite.publish.audit import write
    from suite.vectors import audit as vectors
    from suite.vectors.read import read

    source = read(
        Path(file),
        user=user,
        vector=[vector] if isinstance(vector, str) else vector,
        columns={
            "time": time,
            "role": role,
            "session": session,
            **{f"attribute {name}": name for name in attributes},
        },
        without=without,
    )
    found = vectors.audit(source, name=str(file), attacks=attacks, defenses=defenses, **settings)
    if out is not None:
        write(found, source.user, Path(out))
    return found


def _text(place: str | Path | None) -> str | None:
    return None if place is None else str(place)
