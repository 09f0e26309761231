"""Output of an audit: files and a table."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Column, Table

from attacks.audit import AttackResult, Audit
from attacks.measures.risk import decile
from suite.vectors.vectors import first_rows

COLUMNS = ("top1", "top5", "top10", "top20", "mrr", "median_rank", "bits", "lift")


def write(audit: Audit, user: pl.Series, out: Path) -> None:
    """Write audit.json, audit.csv and users.parquet.

    audit.csv has one row per defense and attack, users.parquet one per defense, attack and user.
    Each file is written atomically.
    """
    activity = np.bincount(first_rows(user).to_numpy())
    tables, rows = [], []
    for defense, result in _results(audit):
        risk = result.users
        rows.append({"defense": defense, **result.row})
        tables.append(
            pl.DataFrame(
                {
                    "user_id": user.gather(risk.user),
                    "defense": [defense] * len(risk.user),
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
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        (folder / "audit.json").write_text(json.dumps(audit.to_dict(), indent=1) + "\n")
        for path in sorted(folder.iterdir()):
            path.replace(out / path.name)


def show(audit: Audit, title: str) -> None:
    """Print the sentences and a table of the figures."""
    console = Console(highlight=False, markup=False)
    plain = "".join(one if one.isprintable() else "?" for one in title)
    console.print(plain, *audit.words, sep="\n", soft_wrap=True)
    first = ("defense", "attack") if audit.defended else ("attack",)
    table = Table(
        *(Column(name, overflow="fold") for name in first),
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for defense, result in _results(audit):
        figures = (result.figures[name] for name in COLUMNS)
        names = (defense, result.attack)[-len(first) :]
        table.add_row(*names, *("" if x is None else f"{x:,.4g}" for x in figures))
    console.print(table)


def _results(audit: Audit) -> list[tuple[str, AttackResult]]:
    """List the results with their defenses, those of the undefended vectors first."""
    return [
        (name, result)
        for name, audit in {"none": audit, **audit.defended}.items()
        for result in audit.attacks
    ]
