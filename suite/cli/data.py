"""Check the files of a dataset, or simulate them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from suite.cli.options import Set

app = typer.Typer(no_args_is_help=True, help="Check a dataset, or simulate one.")


@app.command(
    "check",
    epilog="Example: latentprint data check kuairand ../shared/data/kuairand",
)
def check(
    name: Annotated[str, typer.Argument(help="A dataset's name (see: list datasets).")],
    directory: Annotated[Path, typer.Argument(help="Folder (or file, for table) of the data.")],
    set_: Set = None,
) -> None:
    """Validate a dataset's files and print a summary."""
    from rich.console import Console

    from suite import registry, spec
    from suite.datasets.describe import describe
    from suite.steps.features import read

    part = registry.part("datasets", name)
    first = next(iter(inspect.signature(part).parameters))
    given: dict[str, Any] = {first: str(directory)}
    for text in set_ or []:
        spec.override(given, text)
    source = registry.create("datasets", name, given)
    Console().print(describe(read(source)))


@app.command(
    "simulate",
    epilog="Examples: latentprint data simulate ebnerd /tmp/world --users 2000 --seed 0 | "
    "latentprint data simulate recsys2021 /tmp/log --users 2000 --history-days 5",
)
def simulate(
    name: Annotated[Literal["ebnerd", "recsys2021"], typer.Argument(help="File format.")],
    directory: Annotated[Path, typer.Argument(help="New or empty folder.")],
    users: Annotated[int, typer.Option(min=1, help="Number of users.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same files.")] = 0,
    identity: Annotated[
        float, typer.Option(min=0, max=1, help="Individuality of users; 0: all alike.")
    ] = 0.5,
    drift: Annotated[
        float, typer.Option(min=0, max=1, help="Change of users between windows or days.")
    ] = 0.1,
    history_days: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="ebnerd (default 21): 21 shares 14 days between windows, 7 shares none. "
            "recsys2021 (default 5): days of the log before its last two.",
        ),
    ] = None,
) -> None:
    """Write simulated data in a dataset's exact files and dtypes."""
    from rich.console import Console

    from suite.datasets.simulators import ebnerd, recsys2021

    given = {} if history_days is None else {"history_days": history_days}
    write: Callable[..., object] = {"ebnerd": ebnerd, "recsys2021": recsys2021}[name].simulate
    settings = {"users": users, "seed": seed, "identity": identity, "drift": drift, **given}
    Console().print(write(directory, **settings))
