"""List the parts that a suite file can use."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Annotated, Any, Literal

import typer

app = typer.Typer()


@app.command(
    "list", epilog="Examples: latentprint list models | latentprint list features recsys2021"
)
def list_(
    kind: Annotated[
        Literal["models", "attacks", "defenses", "datasets", "protocols", "suites", "features"],
        typer.Argument(help="What to list."),
    ],
    dataset: Annotated[str | None, typer.Argument(help="For features: their dataset.")] = None,
) -> None:
    """List the parts that a suite file can use, or the wide features of a dataset."""
    if (kind == "features") != (dataset is not None):
        raise ValueError("list: give a dataset with features, and only with features")
    if dataset is None:
        list_parts(kind)
    else:
        list_features(dataset)


def list_features(name: str) -> None:
    """Print the wide features of a dataset, and their number by group.

    Raises
    ------
    ValueError
        There is no such dataset, or it has no wide features.
    """
    from rich.console import Console
    from rich.table import Table

    from suite import registry

    features = registry.part("datasets", name).wide_features
    if not features:
        raise ValueError(f"datasets: {name} has no wide features")
    table = Table("name", "group", "unit", "source")
    for feature in features:
        table.add_row(feature.name, feature.group, feature.unit, feature.source)
    console = Console()
    console.print(table)
    counts = Counter(feature.group for feature in features)
    groups = ", ".join(f"{count} {group}" for group, count in counts.items())
    console.print(f"{len(features)} features: {groups}")


def list_parts(kind: str) -> None:
    """Print the parts of a kind with the first line of their docstring and their parameters."""
    import yaml
    from rich.console import Console
    from rich.table import Table

    from suite import registry, spec

    console = Console()
    if kind == "suites":
        table = Table("suite", "about", "cells")
        for name, path in spec.recipes().items():
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            table.add_row(name, content.get("about", ""), str(_num_cells(content)))
        console.print(table)
        return
    table = Table("name", "description", "parameters")
    for name in registry.names(kind):
        part = registry.part(kind, name)
        about = (inspect.getdoc(part) or "").partition("\n")[0]
        table.add_row(name, about, ", ".join(map(_described, _parameters(part))) or "-")
    console.print(table)


def _num_cells(content: dict[str, Any]) -> int:
    from suite.spec import Suite

    return len(Suite.model_validate(content).cells())


def _parameters(part: type[Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(part).parameters.values())


def _described(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return parameter.name
    return f"{parameter.name}={parameter.default!r}"
