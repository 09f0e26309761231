"""Print a published leaderboard."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from suite.cli.options import Storage

app = typer.Typer()


@app.command(
    epilog="Examples: latentprint leaderboard | latentprint leaderboard kuairand --format csv"
)
def leaderboard(
    suite: Annotated[str | None, typer.Argument(help="Name. Default: the newest.")] = None,
    format_: Annotated[
        Literal["table", "json", "csv", "md"], typer.Option("--format", help="How to print it.")
    ] = "table",
    storage: Storage = None,
) -> None:
    """Print the leaderboard of a suite that has run."""
    from suite.leaderboard import render
    from suite.leaderboard.rows import Leaderboard
    from suite.publish import places

    store = places.open_store(storage)
    board = Leaderboard.from_json(store.read_published(suite, "leaderboard.json"))
    if format_ == "table":
        render.show(board)
        return
    write = {"json": Leaderboard.to_json, "csv": render.csv, "md": render.markdown}[format_]
    sys.stdout.write(write(board))
