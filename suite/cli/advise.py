"""Find a defense for the vectors of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite.cli import columns

app = typer.Typer()


@app.command(
    epilog="Examples: latentprint advise vectors.parquet --max-lift 10 --label finished | "
    "latentprint advise vectors.parquet --max-lift 10 --releases 10 --certified | "
    "latentprint advise vectors.parquet --max-lift 10 -o advice.json --apply defended.parquet. "
    "Files and columns are those of: latentprint audit. "
    "Exit codes: 0 done, 2 wrong input, or no defense reaches the limit."
)
def advise(  # noqa: PLR0913 - a flag each
    file: columns.File,
    max_lift: Annotated[
        float,
        typer.Option(help="Largest lift of the strongest attacker, upper end of its interval."),
    ],
    releases: Annotated[
        int, typer.Option(help="How often each vector is released; the attacker averages.")
    ] = 1,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Column (or .npy) of two values that the vectors shall predict; repeatable. "
            "Without, what counts is who is near whom."
        ),
    ] = None,
    certified: Annotated[
        bool, typer.Option("--certified", help="Only defenses that bound every attacker so low.")
    ] = False,
    user: columns.User = "user_id",
    vector: columns.Vector = None,
    time: columns.Time = None,
    role: columns.Role = None,
    session: columns.Session = None,
    no_time: columns.NoTime = False,
    no_role: columns.NoRole = False,
    no_session: columns.NoSession = False,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same advice.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="JSON file. Default: ./<file>-advice.json."),
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(help="Parquet file of the defended vectors; what was fitted goes to .npz."),
    ] = None,
) -> None:
    """Say with which defense to release vectors, what it costs and what is certified."""
    from rich.console import Console

    from suite.publish.advice import show, write
    from suite.vectors.read import read

    if apply is not None and apply.suffix != ".parquet":
        raise ValueError(f"--apply {apply}: must end in .parquet")
    left_out = {"time": no_time, "role": no_role, "session": no_session}
    named = {"time": time, "role": role, "session": session}
    source = read(
        file,
        user=user,
        vector=vector or [],
        columns={**named, **{f"label {name}": name for name in label or ()}},
        without=[name for name, is_left_out in left_out.items() if is_left_out],
    )
    with Console(stderr=True).status("") as status:
        try:
            found = source.advise(
                max_lift=max_lift,
                releases=releases,
                certified=certified,
                seed=seed,
                say=status.update,
            )
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    written = write(found, source, out or Path(f"{file.stem}-advice.json"), apply)
    show(found, source.notes, written)
