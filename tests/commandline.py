"""The commands of the command line, with their options."""

from __future__ import annotations

import click
import typer

from suite import cli


def commands() -> dict[str, click.Command]:
    """Every command by its name, such as ``data check``."""
    return _commands(typer.main.get_command(cli.app), "")


def _commands(group: click.Command, before: str) -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in getattr(group, "commands", {}).items():
        inner = getattr(command, "commands", None)
        found |= _commands(command, f"{before}{name} ") if inner else {f"{before}{name}": command}
    return found
