"""Tune a model's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from suite.cli.options import Address, Set, Storage, TrackingUri

if TYPE_CHECKING:
    from suite.spec import Suite
    from suite.store.results import Store

app = typer.Typer()


@app.command(
    epilog="Examples: latentprint tune quick --model mlp --trials 8 | latentprint tune "
    "learning_rates --model mlp --search grid --scheduler none | latentprint tune quick --model "
    "logistic --search optuna --objective auc,lift --set protocols=[rolling]. The best trial is "
    "written as a suite. Exit codes: 0 all trials done or stopped, 1 some failed, 2 invalid input."
)
def tune(  # noqa: PLR0913 - one option each
    suite: Annotated[str, typer.Argument(help="A suite's name (see: list suites) or file.")],
    model: Annotated[str, typer.Option(help="Model to tune (see: list models).")],
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of points. Default: 20, or the whole grid.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time. Default: as resources allow.")
    ] = None,
    search: Annotated[
        Literal["random", "optuna", "grid"], typer.Option(help="Search algorithm.")
    ] = "random",
    scheduler: Annotated[
        Literal["asha", "hyperband", "pbt", "none"] | None,
        typer.Option(help="Early stopping of trials. Default: asha; none for auc,lift."),
    ] = None,
    objective: Annotated[
        str, typer.Option(help="auc, or auc,lift for the Pareto front; both on validation.")
    ] = "auc",
    set_: Set = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    address: Address = None,
) -> None:
    """Search a model's space on validation, and write the best trial as a suite."""
    from suite import spec
    from suite.publish import places

    store = places.open_store(storage)
    chosen = spec.load(suite, set_)
    wanted = {
        "num_trials": trials,
        "search": search,
        "scheduler": scheduler,
        "objectives": objective.split(","),
    }
    raise typer.Exit(
        tune_and_show(chosen, store, model, wanted, concurrency, tracking_uri, address)
    )


def tune_and_show(
    suite: Suite,
    store: Store,
    model: str,
    wanted: dict[str, Any],
    concurrency: int | None,
    tracking_uri: str | None,
    address: str | None,
) -> int:
    """Tune a model, publish and print the trials; return the exit code."""
    from rich.console import Console

    progress = Console(stderr=True)
    progress.print(f"{suite.suite}: tuning {model}, results in {store.url}", soft_wrap=True)
    from suite.publish import places
    from suite.search import search as tuning
    from suite.search.results import dataset_notes, show

    study = tuning.study(suite, model, **wanted)
    uri = places.tracking_uri(tracking_uri, store)
    result = tuning.tune(
        suite,
        store,
        model,
        study,
        concurrency=concurrency,
        tracking_uri=uri,
        address=address,
        console=progress,
    )
    show(result, store, dataset_notes(suite))
    return 1 if result.failed else 0
