"""Audit vectors: attack them, print the findings and write them down."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Table

from attacks.audit import Audit
from attacks.base import Attack
from attacks.measures.risk import decile
from suite import registry
from suite.parts import Part
from suite.vectors.vectors import Vectors, first_rows

NEEDS = {
    "other_space": "vectors of a second training",
    "histories": "the histories behind the vectors",
    "background": "vectors of other users in two windows",
}
"""What an attack that holds more than vectors needs; such a one cannot audit bare vectors."""

COLUMNS = ("top1", "top5", "top10", "top20", "mrr", "median_rank", "bits", "lift")


def run(source: Vectors, *, name: str, attacks: Sequence[str], out: Path, **settings: Any) -> Audit:
    """Audit, write the results to ``out`` and print them.

    Parameters
    ----------
    source
        What to audit.
    name
        Of the source, for error messages and the title.
    attacks
        Each as in a suite file: a name, ``path/to/file.py:Class``, or ``name: {parameters}``.
    out
        Folder for audit.json, audit.csv and users.parquet.
    settings
        Of `attacks.audit.audit`.

    Raises
    ------
    ValueError
        If an attack is unknown, or the vectors cannot be audited; nothing is written then.
    """
    chosen = {text: _attack(text) for text in attacks}
    try:
        found = source.audit(attacks=chosen, **settings)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    found = replace(found, words=(*found.words[:1], *source.notes, *found.words[1:]))
    write(found, source.user, out)
    show(found, name)
    return found


def write(found: Audit, user: pl.Series, out: Path) -> None:
    """Write audit.json, audit.csv (a row per attack) and users.parquet (one per attack and user).

    Each file is complete under its name or not there.
    """
    activity = np.bincount(first_rows(user).to_numpy())
    tables = []
    for result in found.attacks:
        risk = result.users
        tables.append(
            pl.DataFrame(
                {
                    "user_id": user.gather(risk.user),
                    "attack": [result.attack] * len(risk.user),
                    "num_vectors": activity[risk.user],
                    "activity_decile": decile(activity[risk.user]),
                    "num_probes": risk.num_probes,
                    "top1": risk.top1,
                    "mean_rank": risk.mean_rank,
                    "always": risk.always,
                    "never": risk.never,
                }
            )
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as name:
        folder = Path(name)
        pl.concat(tables).write_parquet(folder / "users.parquet")
        with (folder / "audit.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(found.attacks[0].row), lineterminator="\n")
            writer.writeheader()
            writer.writerows(result.row for result in found.attacks)
        (folder / "audit.json").write_text(json.dumps(found.to_dict(), indent=1) + "\n")
        for path in sorted(folder.iterdir()):
            path.replace(out / path.name)


def show(found: Audit, title: str) -> None:
    """Print the sentences and a table of the figures."""
    console = Console(highlight=False, markup=False)
    plain = "".join(one if one.isprintable() else "?" for one in title)
    console.print(plain, *found.words, sep="\n", soft_wrap=True)
    table = Table("attack", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for result in found.attacks:
        figures = (result.figures[name] for name in COLUMNS)
        table.add_row(result.attack, *("" if x is None else f"{x:,.4g}" for x in figures))
    console.print(table)


def _attack(text: str) -> Attack:
    try:
        part = Part.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError):
        raise ValueError(
            f"--attack: must be a name, or 'name: {{key: value}}', got {text!r}"
        ) from None
    if needs := registry.part("attacks", part.name).needs:
        needed = ", ".join(NEEDS[name] for name in sorted(needs))
        raise ValueError(f"--attack {part.name}: does not apply, it needs {needed}")
    attack: Attack = registry.create("attacks", part.name, part.parameters)
    return attack
