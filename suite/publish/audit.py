"""Print the findings of an audit and write them down."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from attacks.audit import Audit
from attacks.measures.risk import decile
from suite.vectors.vectors import first_rows

COLUMNS = ("top1", "top5", "top10", "top20", "mrr", "median_rank", "bits", "lift")


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
