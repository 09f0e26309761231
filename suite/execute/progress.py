"""Progress display of a running suite: a bar for the steps and one for each running fit."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from suite.execute.events import Epoch
from suite.plan.kinds import KINDS
from suite.plan.step import Step

QUIET_S = 60.0
"""Longest time without a line where the output is not a terminal."""


class Display:
    """Shows finished steps and epochs, as plain lines if the output is not a terminal.

    Parameters
    ----------
    console
        Where to write.
    num_steps
        Number of steps to run.
    """

    def __init__(self, console: Console, num_steps: int) -> None:
        self.console = console
        self._said_s = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._steps = self._bars.add_task("steps", total=num_steps, note="")
        self._fits: dict[str, Any] = {}

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def update(self, epochs: Iterable[Epoch], running: Sequence[str]) -> None:
        """Show epochs or, after ``QUIET_S`` without output, the titles of running steps."""
        for title, row in epochs:
            note = f"loss {row['loss']:.4f}, validation AUC {row['validation_auc']:.4f}"
            if not self.console.is_terminal:
                self._line(f"{title}: epoch {row['epoch']:.0f}, {note}")
            elif title in self._fits:
                self._bars.update(self._fits[title], completed=row["epoch"], note=note)
            else:
                self._fits[title] = self._bars.add_task(
                    title, total=row["epochs"], completed=int(row["epoch"]), note=note
                )

        quiet_s = time.monotonic() - self._said_s
        if running and quiet_s > QUIET_S and not self.console.is_terminal:
            task = self._bars.tasks[self._steps]
            more = f" and {len(running) - 1} more" if len(running) > 1 else ""
            self._line(f"{task.completed:.0f} of {task.total:.0f} steps done; {running[0]}{more}")

    def added(self, count: int) -> None:
        """Increase the number of steps to run."""
        self._bars.update(self._steps, total=(self._bars.tasks[self._steps].total or 0) + count)

    def warn(self, step: Step, message: str) -> None:
        """Show a message about a step that has not failed."""
        self._line(f"{step.title}: {message}", style="yellow")

    def finished(self, step: Step, reason: str | None = None, *, inherited: bool = False) -> None:
        """Show that a step ended, with the reason if it failed, unless an input has shown it."""
        self._bars.advance(self._steps)
        if step.title in self._fits:
            self._bars.remove_task(self._fits.pop(step.title))
        if reason and not inherited:
            self._line(f"failed {step.title}: {reason:.300}", style="red")
        elif not reason and not self.console.is_terminal and KINDS[step.kind].announced:
            self._line(f"{step.title}: done")

    def _line(self, text: str, style: str = "") -> None:
        self._said_s = time.monotonic()
        # Text, not str: rich would parse brackets in a reason as markup.
        self.console.print(Text(text, style=style), soft_wrap=True)
