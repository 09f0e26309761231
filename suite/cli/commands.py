"""What the commands of the command line do."""

from __future__ import annotations

import inspect
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from suite import registry, spec
from suite.leaderboard.rows import Leaderboard
from suite.spec import Suite
from suite.store.results import Store, public

load = spec.load


def open_store(storage: str | None) -> Store:
    """Open the storage asked for, that of the environment, or ./runs.

    Raises
    ------
    ValueError
        Inside a Ray job when the path is relative: the job's folder is a copy that is thrown away.
        Of a URI whose protocol is unknown, or whose library is not installed.
    """
    url = storage or os.environ.get("LATENTPRINT_STORAGE") or "runs"
    if _in_job() and "://" not in url and not Path(url).is_absolute():
        msg = (
            f"storage: found the relative path {url!r} inside a Ray job, whose folder is thrown "
            "away; allowed: an absolute path or a URI, by --storage or LATENTPRINT_STORAGE"
        )
        raise ValueError(msg)
    try:
        return Store(url if "://" in url else str(Path(url).resolve()))
    except (ImportError, ValueError) as error:
        raise ValueError(f"storage: {public(url)}: {error}") from None


def run(suite: Suite, store: Store, tracking_uri: str | None, address: str | None) -> int:
    """Run a suite, publish and print its leaderboard; return the exit code."""
    progress = Console(stderr=True)
    # Before the imports: with Ray's start they leave a first user without a sign for 10 s.
    num_cells = len(suite.cells())
    progress.print(f"{suite.suite}: {num_cells} cells, results in {store.url}", soft_wrap=True)
    from suite import pipeline
    from suite.leaderboard import render as tables

    uri = _uri(tracking_uri, store)
    board = pipeline.run(suite, store, tracking_uri=uri, address=address, console=progress)
    tables.show(board)
    Console().print(f"report: {store.published(suite.suite)}/leaderboard.html", soft_wrap=True)
    return 1 if board.failed else 0


def tune(
    suite: Suite,
    store: Store,
    model: str,
    wanted: dict[str, Any],
    concurrency: int | None,
    tracking_uri: str | None,
    address: str | None,
) -> int:
    """Tune a model, publish and print the trials; return the exit code."""
    progress = Console(stderr=True)
    progress.print(f"{suite.suite}: tuning {model}, results in {store.url}", soft_wrap=True)
    from suite.search import search as tuning
    from suite.search.results import dataset_notes, show

    study = tuning.study(suite, model, **wanted)
    uri = _uri(tracking_uri, store)
    tuned = tuning.tune(
        suite,
        store,
        model,
        study,
        concurrency=concurrency,
        tracking_uri=uri,
        address=address,
        console=progress,
    )
    show(tuned, store, dataset_notes(suite))
    return 1 if tuned.failed else 0


def show_plan(suite: Suite, store: Store) -> None:
    """Print the cells of a suite and which of their steps are cached."""
    from suite.plan import plan
    from suite.plan.analyses import analyses
    from suite.plan.recovery import unfinished

    plans = plan.plans(suite)
    together = analyses(plans, suite.bootstrap, tasks=suite.tasks)
    steps = {step.digest: step for p in plans for one in p.wanted for step in one.chain()}
    table = Table("dataset", "model", "seed", "release", "protocol", "defense", "attack", "cached")
    for p in plans:
        chain = {step.digest: step for one in p.wanted for step in one.chain()}
        cached = [step.kind for d, step in chain.items() if store.whole(step.kind, d)]
        names = [str(value) for key, value in p.names.items() if key != "synthetic"]
        table.add_row(*names, "all" if len(cached) == len(chain) else ", ".join(cached) or "-")
    console = Console()
    console.print(table)
    wanted = [s for p in plans for s in p.wanted] + [a.step for a in together]
    waiting = Counter(step.kind for step in unfinished(wanted, store))
    to_run = ", ".join(f"{count} {kind}" for kind, count in waiting.items()) or "nothing"
    console.print(f"{len(plans)} cells, {len(steps)} steps; to run: {to_run}")


def show_leaderboard(store: Store, suite: str | None, format_: str) -> None:
    """Print a published leaderboard."""
    from suite.leaderboard import render as tables

    board = Leaderboard.from_json(store.read_published(suite, "leaderboard.json"))
    if format_ == "table":
        tables.show(board)
        return
    render = {"json": Leaderboard.to_json, "csv": tables.csv, "md": tables.markdown}[format_]
    sys.stdout.write(render(board))


def check_data(name: str, directory: Path, overrides: list[str]) -> None:
    """Validate and describe a dataset."""
    from suite.datasets.describe import describe
    from suite.steps.features import read

    part = registry.part("datasets", name)
    first = next(iter(inspect.signature(part).parameters))
    given: dict[str, Any] = {first: str(directory)}
    for text in overrides:
        spec.override(given, text)
    source = registry.create("datasets", name, given)
    Console().print(describe(read(source)))


def simulate_ebnerd(directory: Path, **world: Any) -> None:
    """Write a synthetic world in EB-NeRD's files and print what is in it."""
    from suite.datasets.simulators.ebnerd import simulate

    Console().print(simulate(directory, **world))


def simulate_recsys2021(directory: Path, **world: Any) -> None:
    """Write a synthetic log in the RecSys Challenge 2021's files and print what is in it."""
    from suite.datasets.simulators.recsys2021 import simulate

    Console().print(simulate(directory, **world))


def list_features(name: str) -> None:
    """Print the wide features of a dataset, and how many each group has.

    Raises
    ------
    ValueError
        If there is no such dataset, or it has no wide features.
    """
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
    console = Console()
    if kind == "suites":
        table = Table("suite", "about", "cells")
        for name, path in spec.recipes().items():
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            table.add_row(name, content.get("about", ""), str(_num_cells(content)))
        console.print(table)
        return
    table = Table("name", "what it is", "parameters")
    for name in registry.names(kind):
        part = registry.part(kind, name)
        about = (inspect.getdoc(part) or "").partition("\n")[0]
        table.add_row(name, about, ", ".join(map(_described, _parameters(part))) or "-")
    console.print(table)


def _num_cells(content: dict[str, Any]) -> int:
    return len(Suite.model_validate(content).cells())


def _parameters(part: type[Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(part).parameters.values())


def _described(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return parameter.name
    return f"{parameter.name}={parameter.default!r}"


def _in_job() -> bool:
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def _uri(tracking_uri: str | None, store: Store) -> str:
    """Tracking store asked for, that of the environment, or a SQLite file in the storage."""
    if tracking_uri and "@" in tracking_uri and _in_job():
        raise ValueError(
            f"--tracking-uri: found a user or a password in {public(tracking_uri)}, and a job's "
            "command line is shown on the dashboard; allowed: none, or MLFLOW_TRACKING_URI in the "
            "environment of `ray start`"
        )
    if uri := tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    if not store.is_local:
        msg = f"--tracking-uri: none given, and {store.url} cannot hold a SQLite file"
        raise ValueError(msg)
    from suite.publish import sqlite

    return sqlite.uri(f"{store.root}/mlflow.db")
