"""Finished cells become rows: the leaderboard, its files and what the tracker shows."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from suite.artifacts.figures import Measures, Reference
from suite.execute.timeline import TIMELINE, Timeline
from suite.leaderboard import comparisons
from suite.leaderboard.claims import claims
from suite.leaderboard.rows import Leaderboard, Row
from suite.plan import digest
from suite.plan.analyses import Analysis
from suite.plan.kinds import KINDS
from suite.plan.plan import Plan
from suite.publish import report, sqlite, tracking
from suite.store.results import Store, public


def record(
    name: str,
    plans: list[Plan],
    together: list[Analysis],
    store: Store,
    failures: dict[str, str],
    tracking_uri: str,
    timeline: Timeline | None = None,
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
    timeline
        Of this execution; published beside the leaderboard where a step ran.

    Returns
    -------
    Leaderboard
        One row per cell.
    """
    done = {p.digest: _measures(p, store) for p in plans if not _reason(p, failures)}
    rows = tuple(_row(p, done, store, failures) for p in plans)
    versions = {"latentprint": version("latentprint"), **digest.libraries()}
    said = [
        (a, KINDS[a.step.kind].load(store.path(a.step.kind, a.step.digest)))
        for a in together
        if a.step.digest not in failures
    ]
    shown = {row.digest for row in rows if row.status == "done"}
    extra = [(p, done[p.digest].extra) for p in plans if p.digest in shown]
    analyses = comparisons.sections(said, extra, claims(name))
    board = Leaderboard(suite=name, versions=versions, analyses=tuple(analyses), rows=rows)
    tracked = {
        p.digest: figures | _speed(done[p.digest], _seconds(p, store)) for p, figures in extra
    }
    if not _is_recorded(board, store, tracking_uri):
        with tempfile.TemporaryDirectory() as folder:
            report.write(board, Path(folder))
            if timeline is not None and timeline.spans:
                (Path(folder) / TIMELINE).write_text(timeline.to_json())
            store.publish(name, Path(folder))
            tracking.record(
                board,
                uri=tracking_uri,
                suite_digest=digest.digest(sorted(p.digest for p in plans)),
                artifacts=Path(folder),
                extra=tracked,
            )
        store.note("recorded", _record_digest(board, tracking_uri))
    return board


def _is_recorded(board: Leaderboard, store: Store, tracking_uri: str) -> bool:
    """Whether these very rows were published here and tracked there before."""
    if not store.whole("recorded", _record_digest(board, tracking_uri)):
        return False
    database = sqlite.file(tracking_uri)
    if database is not None and not database.exists():
        return False
    try:
        return store.read_published(board.suite, "leaderboard.json") == board.to_json()
    except ValueError:
        return False


def _record_digest(board: Leaderboard, tracking_uri: str) -> str:
    return digest.digest([board.suite, board.digest, public(tracking_uri)])


def _row(plan: Plan, done: dict[str, Measures], store: Store, failures: dict[str, str]) -> Row:
    reason = _reason(plan, failures)
    if reason is not None:
        return Row(**plan.names, status="failed", reason=reason, digest=plan.digest)
    known = {k: v for k, v in done[plan.digest].row.items() if k in Row.model_fields}
    if plan.reference is not None:
        lack = failures.get(plan.reference.digest)
        if lack is None:
            found = Reference.load(store.path(plan.reference.kind, plan.reference.digest))
            known |= {"raw_lift": found.lift, "raw_by": found.by}
        else:
            reasons = [known.get("reason"), f"no reading of the inputs: {lack}"]
            known["reason"] = "; ".join(filter(None, reasons))
    known |= _seconds(plan, store)
    try:
        return Row(**plan.names, status="done", **known, digest=plan.digest)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        wrong = f"measured figures contradict each other: {said}"
        return Row(**plan.names, status="failed", reason=wrong, digest=plan.digest)


def _measures(plan: Plan, store: Store) -> Measures:
    return Measures.load(store.path(plan.last.kind, plan.last.digest))


def _reason(plan: Plan, failures: dict[str, str]) -> str | None:
    """Say why a cell failed: the first of its steps that did."""
    return next((failures[s.digest] for s in plan.last.chain() if s.digest in failures), None)


def _seconds(plan: Plan, store: Store) -> dict[str, float]:
    """Seconds of the steps whose results are still there."""
    return {
        f"{kind}_s": store.marker(step.kind, step.digest)["seconds"]
        for kind, step in plan.timed.items()
        if store.has(step.kind, step.digest)
    }


def _speed(measures: Measures, seconds: dict[str, float]) -> dict[str, float]:
    if "attack_s" not in seconds:
        return {}
    pairs = measures.row["num_probes"] * measures.row["num_gallery"]
    return {"attack/pairs_per_s": pairs / seconds["attack_s"]}
