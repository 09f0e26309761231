"""Audit vectors from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite.cli import columns

app = typer.Typer()


@app.command(
    epilog="Examples: latentprint audit vectors.parquet | latentprint audit vectors.parquet "
    "--user reader --vector emb --attack cosine --attack 'aggregated: {m: 2}' | "
    "latentprint audit vectors.parquet --forecast-to 1000000 | "
    "latentprint audit vectors.npy --user ids.npy --time times.npy | "
    "latentprint audit vectors.csv --no-role | "
    "latentprint audit vectors.parquet --defense 'gaussian: {sigma_per_radius: 0.3}' "
    "--attribute gender --fail-above-lift 10. "
    "Without times the split is random and figures are optimistic for the attacker. "
    "Exit codes: 0 done, 2 invalid input, 3 above a limit."
)
def audit(  # noqa: PLR0913 - one option each
    file: columns.File,
    user: columns.User = "user_id",
    vector: columns.Vector = None,
    time: columns.Time = None,
    role: columns.Role = None,
    session: columns.Session = None,
    no_time: columns.NoTime = False,
    no_role: columns.NoRole = False,
    no_session: columns.NoSession = False,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="Attack (see: list attacks); repeatable. Default: cosine, euclidean."),
    ] = None,
    defense: Annotated[
        list[str] | None,
        typer.Option(
            help="Also audit the release of this defense (see: list defenses); repeatable."
        ),
    ] = None,
    background: Annotated[
        Path | None,
        typer.Option(
            help="Text file with one user id per line: users for fitting the attack background "
            "only. Default: a random half of the users, if that attack is used."
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            help="Column (or .npy) of a user attribute to infer from the vectors; repeatable."
        ),
    ] = None,
    fail_above_lift: Annotated[
        float | None,
        typer.Option(
            help="Exit with 3 if the upper end of an attack's lift exceeds this; with --defense, "
            "of the vectors released by defenses."
        ),
    ] = None,
    fail_above_top1: Annotated[
        float | None, typer.Option(help="The same for top-1, from 0 to 1.")
    ] = None,
    forecast_to: Annotated[
        list[int] | None,
        typer.Option(help="Larger gallery size for which to forecast top-1; repeatable."),
    ] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Bootstrap resamples of users.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same figures.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results. Default: ./<file>-audit.")
    ] = None,
) -> None:
    """Audit vectors from any system: attack them and report how often users are identified."""
    from attacks.audit.gate import breaches, check
    from suite.publish.audit import show, write
    from suite.vectors import audit as vectors
    from suite.vectors.read import read

    check(above_lift=fail_above_lift, above_top1=fail_above_top1)
    left_out = {"time": no_time, "role": no_role, "session": no_session}
    named = {"time": time, "role": role, "session": session}
    source = read(
        file,
        user=user,
        vector=vector or [],
        columns={**named, **{f"attribute {name}": name for name in attribute or ()}},
        without=[name for name, is_left_out in left_out.items() if is_left_out],
    )
    result = vectors.audit(
        source,
        name=str(file),
        attacks=attack or ["cosine", "euclidean"],
        defenses=defense or [],
        background=background,
        forecast_to=forecast_to or [],
        replicates=replicates,
        seed=seed,
    )
    write(result, source.user, out or Path(f"{file.stem}-audit"))
    show(result, str(file))
    failed = breaches(result, above_lift=fail_above_lift, above_top1=fail_above_top1)
    for sentence in failed:
        typer.echo(f"latentprint: {sentence}", err=True)
    if failed:
        raise typer.Exit(3)
