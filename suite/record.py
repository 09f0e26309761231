"""Finished cells become rows: the leaderboard, its files and what the tracker shows."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from suite import analysis, digest, report, tracking
from suite.analysis import Analysis
from suite.attribution import Attribution
from suite.differences import Differences
from suite.leaderboard import Leaderboard, Row
from suite.measure import Measures
from suite.plan import Plan
from suite.store import Store

RESULTS: dict[str, Any] = {"differences": Differences, "attribution": Attribution}


def record(
    name: str,
    plans: list[Plan],
    together: list[Analysis],
    store: Store,
    failures: dict[str, str],
    tracking_uri: str,
) -> Leaderboard:
    """Assemble, publish and track the leaderboard of a suite.

    Parameters
    ----------
    name
        The suite's.
    plans
        All cells.
    together
        What several cells say together.
    store
        Holds the results; the leaderboard's files are published in it.
    failures
        Reason by digest of a step; every other cell is finished.
    tracking_uri
        MLflow store; what it already holds is left as it is.

    Returns
    -------
    Leaderboard
        One row per cell.
    """
    done = {p.digest: _measures(p, store) for p in plans if not _reason(p, failures)}
    lifts = {_raw_key(p): done[p.digest].row["lift"] for p in plans if _is_raw(p, done)}
    rows = tuple(_row(p, done, lifts, store, _reason(p, failures)) for p in plans)
    versions = {"latentprint": version("latentprint"), **digest.libraries()}
    said = [
        (a, RESULTS[a.step.kind].load(store.path(a.step.kind, a.step.digest)))
        for a in together
        if a.step.digest not in failures
    ]
    extra = [(p, done[p.digest].extra) for p in plans if p.digest in done]
    analyses = analysis.sections(said, extra)
    board = Leaderboard(suite=name, versions=versions, analyses=tuple(analyses), rows=rows)
    tracked = {
        p.digest: figures | _speed(done[p.digest], _seconds(p, store)) for p, figures in extra
    }
    with tempfile.TemporaryDirectory() as folder:
        report.write(board, Path(folder))
        store.publish(name, Path(folder))
        tracking.record(
            board,
            uri=tracking_uri,
            suite_digest=digest.digest(sorted(p.digest for p in plans)),
            artifacts=Path(folder),
            extra=tracked,
        )
    return board


def _row(
    plan: Plan,
    done: dict[str, Measures],
    lifts: dict[Any, float],
    store: Store,
    reason: str | None,
) -> Row:
    if reason is not None:
        return Row(**plan.names, status="failed", reason=reason, digest=plan.digest)
    raw_lift = lifts.get(_raw_key(plan)) if plan.names["release"] == "model" else None
    return Row(
        **plan.names,
        status="done",
        **done[plan.digest].row,
        **_seconds(plan, store),
        raw_lift=raw_lift,
        digest=plan.digest,
    )


def _measures(plan: Plan, store: Store) -> Measures:
    return Measures.load(store.path(plan.last.kind, plan.digest))


def _reason(plan: Plan, failures: dict[str, str]) -> str | None:
    """Say why a cell failed: the first of its steps that did."""
    return next((failures[s.digest] for s in plan.last.chain() if s.digest in failures), None)


def _seconds(plan: Plan, store: Store) -> dict[str, float]:
    """Seconds of the steps whose results are still there."""
    return {
        f"{kind}_s": store.marker(kind, step.digest)["seconds"]
        for kind, step in plan.timed.items()
        if store.has(kind, step.digest)
    }


def _speed(measures: Measures, seconds: dict[str, float]) -> dict[str, float]:
    if "attack_s" not in seconds:
        return {}
    pairs = measures.row["num_probes"] * measures.row["num_gallery"]
    return {"attack/pairs_per_s": pairs / seconds["attack_s"]}


def _raw_key(plan: Plan) -> tuple[Any, ...]:
    keys = ("dataset", "model", "seed", "protocol", "defense", "attack")
    return tuple(plan.names[key] for key in keys)


def _is_raw(plan: Plan, done: dict[str, Measures]) -> bool:
    return plan.names["release"] == "raw" and plan.digest in done
