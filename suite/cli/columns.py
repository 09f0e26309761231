"""Options that say where a file of vectors has what: the same for audit and advise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Argument(help="Parquet, CSV, JSON Lines, .npz, or a .npy matrix.")]
User = Annotated[str, typer.Option(help="Column (or .npy) of user ids.")]
Vector = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of lists, or prefix of numbered columns; repeatable for several columns. "
        "Default: vector, or the only column of lists or numbered columns."
    ),
]
Time = Annotated[str | None, typer.Option(help="Column (or .npy). Default: time, if there is one.")]
Role = Annotated[
    str | None,
    typer.Option(help="Column (or .npy) of gallery | probe. Default: role, if there is one."),
]
Session = Annotated[
    str | None,
    typer.Option(
        help="Column (or .npy); probes that share one with their user's own gallery vectors "
        "are dropped. Default: session, if there is one."
    ),
]
NoTime = Annotated[bool, typer.Option("--no-time", help="Ignore a column named time.")]
NoRole = Annotated[bool, typer.Option("--no-role", help="Ignore a column named role.")]
NoSession = Annotated[bool, typer.Option("--no-session", help="Ignore a column named session.")]
