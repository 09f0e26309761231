"""The command line: one file per command, with imports inside functions for a fast --help."""

from __future__ import annotations

import os
import signal
import sys
import threading

import typer

from suite.cli import advise, audit, data, doctor, leaderboard, run, tune
from suite.cli import list as list_

app = typer.Typer(
    name="latentprint",
    help="How identifiable are users from the vectors an engagement model computes?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (run, tune, audit, advise, leaderboard, list_, doctor):
    app.add_typer(command.app)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; invalid input ends with one line on stderr and exit code 2."""
    # By default OpenMP's threads spin while they wait for each other: if something else runs on
    # the same cores, steps with two threads can take 20 times as long. Workers inherit the setting.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    try:
        app()
    except BaseException as error:
        # Not only SystemExit: inside a call of Ray it arrives as a SystemError.
        if stopped.is_set():
            sys.stderr.write("latentprint: stopped by SIGTERM; rerun the same command to resume\n")
            sys.stderr.flush()
            # In a normal exit, running threads of Ray and OpenMP would print a traceback.
            os._exit(128 + signal.SIGTERM)
        if not isinstance(error, ValueError | LookupError | OSError):
            raise
        text = str(error.args[0] if isinstance(error, LookupError) and error.args else error)
        # Names in a user's files may contain control characters, which a terminal interprets.
        plain = "".join(one if one.isprintable() else "?" for one in " ".join(text.split()))
        sys.stderr.write(f"latentprint: {plain}\n")
        sys.exit(2)
