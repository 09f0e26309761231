"""Run a suite, or show what a run would do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from suite.cli.options import Address, Set, Storage, TrackingUri
from suite.input.allowed import counted

if TYPE_CHECKING:
    from suite.spec import Suite
    from suite.store.results import Store

app = typer.Typer()


@app.command(
    epilog="Examples: latentprint run quick | latentprint run quick --set seeds=[0,1] | "
    "latentprint run my.yaml --dry-run | latentprint run kuairand --address auto. "
    "Exit codes: 0 all cells done, 1 some failed, 2 the suite file or data is invalid."
)
def run(
    suite: Annotated[str, typer.Argument(help="A suite's name (see: list suites) or file.")],
    set_: Set = None,
    dry_run: Annotated[
        bool, typer.Option(help="Print the cells and what is cached, without running.")
    ] = False,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    address: Address = None,
) -> None:
    """Run a suite and print its leaderboard; finished steps are not repeated."""
    from suite import spec
    from suite.publish import places

    store = places.open_store(storage)
    chosen = spec.load(suite, set_)
    if dry_run:
        show_plan(chosen, store)
    else:
        raise typer.Exit(run_and_show(chosen, store, tracking_uri, address))


def run_and_show(suite: Suite, store: Store, tracking_uri: str | None, address: str | None) -> int:
    """Run a suite, publish and print its leaderboard; return the exit code."""
    from rich.console import Console

    progress = Console(stderr=True)
    # Before the imports: they and the start of Ray may take 10 s without output.
    cells = counted(len(suite.cells()), "cell")
    progress.print(f"{suite.suite}: {cells}, results in {store.url}", soft_wrap=True)
    from suite import pipeline
    from suite.leaderboard import render
    from suite.publish import places

    uri = places.tracking_uri(tracking_uri, store)
    board = pipeline.run(suite, store, tracking_uri=uri, address=address, console=progress)
    render.show(board)
    Console().print(f"report: {store.published(suite.suite)}/leaderboard.html", soft_wrap=True)
    return 1 if board.failed else 0


def show_plan(suite: Suite, store: Store) -> None:
    """Print the cells of a suite and which of their steps are cached."""
    from rich.console import Console
    from rich.table import Table

    from suite.plan import plan
    from suite.plan.analyses import analyses
    from suite.plan.recovery import unfinished

    plans = plan.plans(suite)
    together = analyses(plans, suite.bootstrap, by_label=suite.tasks)
    steps = {step.digest: step for p in plans for one in p.wanted for step in one.chain()}
    keys = ("dataset", "model", "seed", "release", "protocol", "defense", "attack")
    table = Table(*keys, "cached")
    for p in plans:
        chain = {step.digest: step for one in p.wanted for step in one.chain()}
        cached = [step.kind for d, step in chain.items() if store.whole(step.kind, d)]
        names = [str((p.names | {"defense": p.defense})[key]) for key in keys]
        table.add_row(*names, "all" if len(cached) == len(chain) else ", ".join(cached) or "-")
    console = Console()
    console.print(table)
    wanted = [s for p in plans for s in p.wanted] + [a.step for a in together]
    waiting = Counter(step.kind for step in unfinished(wanted, store))
    to_run = ", ".join(f"{count} {kind}" for kind, count in waiting.items()) or "nothing"
    sizes = f"{counted(len(plans), 'cell')}, {counted(len(steps), 'step')}"
    console.print(f"{sizes}; to run: {to_run}")
