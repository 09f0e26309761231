"""The command line. Heavy imports happen inside the commands, so that --help answers at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    name="latentprint",
    help="How identifiable are users from the vectors an engagement model computes?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
data = typer.Typer(no_args_is_help=True, help="Check a dataset, or simulate one.")
app.add_typer(data, name="data")

Storage = Annotated[
    str | None,
    typer.Option(help="Folder or fsspec URI of results. Default: $LATENTPRINT_STORAGE or ./runs."),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, e.g. training.epochs=2; repeatable.")
]
TrackingUri = Annotated[
    str | None, typer.Option(help="MLflow. Default: sqlite:///<storage>/mlflow.db.")
]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster: auto or host:port. Default: a local one.")
]


@app.command(
    epilog="Examples: latentprint run quick | latentprint run quick --set seeds=[0,1] | "
    "latentprint run my.yaml --dry-run | latentprint run kuairand --address auto. "
    "Exit codes: 0 all cells done, 1 some failed, 2 the suite file or data is wrong."
)
def run(
    suite: Annotated[str, typer.Argument(help="A suite's name (see: list suites) or file.")],
    set_: Set = None,
    dry_run: Annotated[
        bool, typer.Option(help="Print cells and what is cached; run none.")
    ] = False,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    address: Address = None,
) -> None:
    """Run a suite and print its leaderboard; what is finished is not done again."""
    from suite.cli import commands

    store = commands.open_store(storage)
    chosen = commands.load(suite, set_)
    if dry_run:
        commands.show_plan(chosen, store)
    else:
        raise typer.Exit(commands.run(chosen, store, tracking_uri, address))


@app.command(
    epilog="Examples: latentprint tune quick --model mlp --trials 8 | latentprint tune "
    "learning_rates --model mlp --search grid --scheduler none | latentprint tune quick --model "
    "logistic --search optuna --objective auc,lift --set protocols=[rolling]. The best is written "
    "as a suite to run. Exit codes: 0 all trials done or stopped, 1 some failed, 2 wrong input."
)
def tune(  # noqa: PLR0913 - a flag each
    suite: Annotated[str, typer.Argument(help="A suite's name (see: list suites) or file.")],
    model: Annotated[str, typer.Option(help="Model to tune (see: list models).")],
    trials: Annotated[
        int | None, typer.Option(min=1, help="Points to try. Default: 20, or the whole grid.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time. Default: what there is room for.")
    ] = None,
    search: Annotated[
        Literal["random", "optuna", "grid"], typer.Option(help="Who chooses the points.")
    ] = "random",
    scheduler: Annotated[
        Literal["asha", "hyperband", "pbt", "none"] | None,
        typer.Option(help="Who stops trials early. Default: asha; none for auc,lift."),
    ] = None,
    objective: Annotated[
        str, typer.Option(help="auc, or auc,lift for the Pareto front; both on validation.")
    ] = "auc",
    set_: Set = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    address: Address = None,
) -> None:
    """Search a model's space on validation, and write the best as a suite."""
    from suite.cli import commands

    store = commands.open_store(storage)
    chosen = commands.load(suite, set_)
    wanted = {
        "num_trials": trials,
        "search": search,
        "scheduler": scheduler,
        "objectives": objective.split(","),
    }
    raise typer.Exit(
        commands.tune(chosen, store, model, wanted, concurrency, tracking_uri, address)
    )


@app.command(
    epilog="Examples: latentprint audit vectors.parquet | latentprint audit vectors.parquet "
    "--user reader --vector emb --attack cosine --attack 'aggregated: {m: 2}' | "
    "latentprint audit vectors.parquet --forecast-to 1000000 | "
    "latentprint audit vectors.npy --user ids.npy --time times.npy | "
    "latentprint audit vectors.csv --no-role. "
    "Without times the split is random, an upper reading."
)
def audit(  # noqa: PLR0913 - a flag each
    file: Annotated[Path, typer.Argument(help="Parquet, CSV, JSON Lines, .npz, or a .npy matrix.")],
    user: Annotated[str, typer.Option(help="Column (or .npy) of user ids.")] = "user_id",
    vector: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of lists, prefix of numbered columns, or, repeated, several columns. "
            "Default: vector, else the only column of lists or numbered columns."
        ),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column (or .npy). Default: time, if there is one.")
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(help="Column (or .npy) of gallery | probe. Default: role, if there is one."),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            help="Column (or .npy); probes that share one with their user's own gallery vectors "
            "are dropped. Default: session, if there is one."
        ),
    ] = None,
    no_time: Annotated[
        bool, typer.Option("--no-time", help="A column named time is something else.")
    ] = False,
    no_role: Annotated[
        bool, typer.Option("--no-role", help="A column named role is something else.")
    ] = False,
    no_session: Annotated[
        bool, typer.Option("--no-session", help="A column named session is something else.")
    ] = False,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="Attack (see: list attacks); repeatable. Default: cosine, euclidean."),
    ] = None,
    forecast_to: Annotated[
        list[int] | None, typer.Option(help="Larger gallery to forecast top-1 to; repeatable.")
    ] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Bootstrap resamples of users.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same figures.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results. Default: ./<file>-audit.")
    ] = None,
) -> None:
    """Attack vectors that any system produced, and say how often that names somebody."""
    from suite.cli.audit import run as run_audit
    from suite.vectors.read import read

    left_out = {"time": no_time, "role": no_role, "session": no_session}
    run_audit(
        read(
            file,
            user=user,
            vector=vector or [],
            columns={"time": time, "role": role, "session": session},
            without=[name for name, is_left_out in left_out.items() if is_left_out],
        ),
        name=str(file),
        attacks=attack or ["cosine", "euclidean"],
        out=out or Path(f"{file.stem}-audit"),
        forecast_to=forecast_to or [],
        replicates=replicates,
        seed=seed,
    )


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
    from suite.cli import commands

    commands.show_leaderboard(commands.open_store(storage), suite, format_)


@data.command(
    "check",
    epilog="Example: latentprint data check kuairand ../shared/data/kuairand",
)
def check(
    name: Annotated[str, typer.Argument(help="A dataset's name (see: list datasets).")],
    directory: Annotated[Path, typer.Argument(help="Folder (or file, for table) of the data.")],
    set_: Set = None,
) -> None:
    """Validate a dataset's files and describe what is in them."""
    from suite.cli import commands

    commands.check_data(name, directory, set_ or [])


@data.command(
    "simulate",
    epilog="Examples: latentprint data simulate ebnerd /tmp/world --users 2000 --seed 0 | "
    "latentprint data simulate recsys2021 /tmp/log --users 2000 --history-days 5",
)
def simulate(
    name: Annotated[
        Literal["ebnerd", "recsys2021"], typer.Argument(help="Whose file format is written.")
    ],
    directory: Annotated[Path, typer.Argument(help="New or empty folder.")],
    users: Annotated[int, typer.Option(min=1, help="Users.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same files.")] = 0,
    identity: Annotated[
        float, typer.Option(min=0, max=1, help="How individual users are; 0: all alike.")
    ] = 0.5,
    drift: Annotated[
        float, typer.Option(min=0, max=1, help="How much they change between windows or days.")
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
    """Write a synthetic world in a dataset's exact files and dtypes."""
    from suite.cli import commands

    given = {} if history_days is None else {"history_days": history_days}
    write = {"ebnerd": commands.simulate_ebnerd, "recsys2021": commands.simulate_recsys2021}[name]
    write(directory, users=users, seed=seed, identity=identity, drift=drift, **given)


@app.command(
    "list", epilog="Examples: latentprint list models | latentprint list features recsys2021"
)
def list_(
    kind: Annotated[
        Literal["models", "attacks", "defenses", "datasets", "protocols", "suites", "features"],
        typer.Argument(help="What to list."),
    ],
    dataset: Annotated[
        str | None, typer.Argument(help="Of features: the dataset that has them.")
    ] = None,
) -> None:
    """List the parts that a suite file can name, or the wide features of a dataset."""
    from suite.cli import commands

    if (kind == "features") != (dataset is not None):
        raise ValueError("list: a dataset is named after features, and only there")
    if dataset is None:
        commands.list_parts(kind)
    else:
        commands.list_features(dataset)


@app.command()
def doctor(storage: Storage = None) -> None:
    """Say what was found on this machine, and what will be used."""
    from suite.cli.doctor import show

    show(storage or os.environ.get("LATENTPRINT_STORAGE") or "runs")


def main() -> None:
    """Run the command line; a wrong input ends with one line on stderr and exit code 2."""
    # OpenMP's threads would spin while they wait for each other: where something else runs on
    # the same cores, steps of two threads were seen to take 20 times as long. Workers inherit it.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    try:
        app()
    except BaseException as error:
        # Not only SystemExit: within a call of Ray's it arrives as a SystemError.
        if stopped.is_set():
            sys.stderr.write("latentprint: stopped by SIGTERM; rerun the same command to resume\n")
            sys.stderr.flush()
            # Threads of Ray and OpenMP that are still at work would end a usual exit with a trace.
            os._exit(128 + signal.SIGTERM)
        if not isinstance(error, ValueError | LookupError | OSError):
            raise
        text = str(error.args[0] if isinstance(error, LookupError) and error.args else error)
        # Names in a user's files may hold anything; a terminal acts on control characters.
        plain = "".join(one if one.isprintable() else "?" for one in " ".join(text.split()))
        sys.stderr.write(f"latentprint: {plain}\n")
        sys.exit(2)
