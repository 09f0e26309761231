"""What a store lacks of the steps that are wanted, and what in it is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from suite.plan.kinds import KINDS
from suite.plan.step import Step
from suite.store import checkpoints
from suite.store.results import Store

Say = Callable[[str], None]
"""Takes a line that a person should read."""


def unfinished(
    wanted: list[Step], store: Store, noted: Iterable[Step] = (), say: Say | None = None
) -> list[Step]:
    """List the steps that have to run, each once, in running order of their kinds.

    Parameters
    ----------
    wanted
        Steps whose results are asked for: their content is read and compared with its hashes.
    store
        Where results are kept. What a step loads is read when it does; here a result that is
        only an input is compared by its sizes.
    noted
        Steps of whose results, where they are there, only the marker is read.
    say
        Told of each damaged result, which is then removed; None leaves it where it is.
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
        say(f"{step.title}: {fault}; removed, to be computed again")
    return fault is None


def repair(scratch: str, say: Say) -> None:
    """Remove damaged checkpoints below a path or URI: the fits that left them begin anew."""
    for path in checkpoints.remove_damaged(scratch):
        say(f"{path} is damaged; removed, its fit begins anew")
