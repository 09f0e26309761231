"""Detection of missing and damaged results in a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from suite.plan.kinds import KINDS
from suite.plan.step import Step
from suite.store import checkpoints
from suite.store.results import Store

Say = Callable[[str], None]
"""Function that prints a line for the user."""


def unfinished(
    wanted: list[Step], store: Store, noted: Iterable[Step] = (), say: Say | None = None
) -> list[Step]:
    """List the steps that have to run, each once, in the order of their kinds.

    Parameters
    ----------
    wanted
        Steps whose results are needed: their content is compared with its hashes.
    store
        Where results are kept. A result that is only an input is checked by file sizes here, and
        by content when a step loads it.
    noted
        Steps of whose results, if they exist, only the marker is read.
    say
        Called for each damaged result, which is then removed; None: do not remove.
    """
    found: dict[str, Step] = {}
    whole: set[tuple[str, bool]] = set()

    def visit(step: Step, hashed: bool) -> None:
        if step.digest in found or (step.digest, hashed) in whole:
            return
        if _is_whole(step, store, hashed, say):
            whole.add((step.digest, hashed))
            return
        for needed in step.inputs:
            visit(needed, False)
        found[step.digest] = step

    for step in wanted:
        visit(step, True)
    for step in noted:
        if store.has(step.kind, step.digest):
            visit(step, False)
    order = list(KINDS)
    return sorted(found.values(), key=lambda step: order.index(step.kind))


def _is_whole(step: Step, store: Store, hashed: bool, say: Say | None) -> bool:
    if not store.has(step.kind, step.digest):
        return False
    fault = store.fault(step.kind, step.digest, hashed=hashed)
    if fault is not None and say is not None:
        store.remove(step.kind, step.digest)
        say(f"{step.title}: {fault}; removed and computed again")
    return fault is None


def repair(scratch: str, say: Say) -> None:
    """Remove damaged checkpoints below a path or URI; their fits restart."""
    for path in checkpoints.remove_damaged(scratch):
        say(f"{path} is damaged; removed, its fit restarts")
