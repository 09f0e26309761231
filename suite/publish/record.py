"""From finished cells to the leaderboard, its files and its tracking runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pydantic import ValidationError

from suite.artifacts.figures import Measures, Reference
from suite.execute.timeline import TIMELINE, Timeline
from suite.leaderboard import comparisons, frontier
from suite.leaderboard.claims import claims
from suite.leaderboard.rows import Leaderboard, Row
from suite.plan import digest
from suite.plan.analyses import Analysis
from suite.plan.kinds import KINDS
from suite.plan.plan import Plan
from suite.publish import release, report, sqlite, tracking
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
        Name of the suite.
    plans
        All cells.
    together
        Analyses over several cells.
    store
        Has the results; the leaderboard's files are published in it.
    failures
        Reason by digest of the failed step; all other cells are finished.
    tracking_uri
        MLflow store; runs that it already has stay unchanged.
    timeline
        Of this execution; published beside the leaderboard if a step ran.

    Returns
    -------
    Leaderboard
        One row per cell.
    """
    done = {p.digest: _measures(p, store) for p in plans if not _reason(p, failures)}
    rows = tuple(_row(p, done, store, failures) for p in plans)
    versions = {"latentprint": release.running(), **digest.libraries()}
    results = [
        (a, KINDS[a.step.kind].load(store.path(a.step.kind, a.step.digest)))
        for a in together
        if a.step.digest not in failures
    ]
    shown = {row.digest for row in rows if row.status == "done"}
    extra = [(p, done[p.digest].extra) for p in plans if p.digest in shown]
    measured = [(p, done[p.digest]) for p in plans if p.digest in shown]
    analyses = [
        *comparisons.sections(results, extra, claims(name)),
        *frontier.sections(measured),
    ]
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
    """Whether the same rows are already published here and tracked there."""
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
    figures = {k: v for k, v in done[plan.digest].row.items() if k in Row.model_fields}
    if plan.reference is not None:
        failure = failures.get(plan.reference.digest)
        if failure is None:
            reference = Reference.load(store.path(plan.reference.kind, plan.reference.digest))
            figures |= {"raw_lift": reference.lift, "raw_by": reference.by}
        else:
            reasons = [figures.get("reason"), f"no lift of the model's inputs: {failure}"]
            figures["reason"] = "; ".join(filter(None, reasons))
    figures |= _seconds(plan, store)
    try:
        return Row(**plan.names, status="done", **figures, digest=plan.digest)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        inconsistent = f"measured figures are inconsistent: {message}"
        return Row(**plan.names, status="failed", reason=inconsistent, digest=plan.digest)


def _measures(plan: Plan, store: Store) -> Measures:
    return Measures.load(store.path(plan.last.kind, plan.last.digest))


def _reason(plan: Plan, failures: dict[str, str]) -> str | None:
    """Return the reason of a cell's failure, that of its first failed step."""
    return next((failures[s.digest] for s in plan.last.chain() if s.digest in failures), None)


def _seconds(plan: Plan, store: Store) -> dict[str, float]:
    """Seconds of the steps whose results still exist."""
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
