"""Print advice and write it down, with the defended vectors where they are asked for."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Column, Table

from attacks.advice.fitted import fitted_arrays
from attacks.advice.result import Advice, Option
from attacks.advice.search import plain
from suite.vectors.vectors import Vectors

SAFE = "it says what the defense learned from the vectors: keep it as safe as they are"


def write(found: Advice, source: Vectors, out: Path, apply: Path | None) -> list[str]:
    """Write the advice and, with ``apply``, one release of all vectors and what was fitted.

    The randomness of the release is the operating system's. All files are complete under their
    names or not there.

    Parameters
    ----------
    found
    source
        What the advice is about.
    out
        JSON file.
    apply
        Parquet file of ``user_id``, the columns of time, role and session that there are, and
        ``vector``; beside it an ``.npz`` of the fitted defense.

    Returns
    -------
    list of str
        What was written, a sentence each.
    """
    said = [f"{out}: the advice"]
    with ExitStack() as opened:

        def beside(path: Path) -> Path:
            """Name a file in the folder of another, which it will replace."""
            path.parent.mkdir(parents=True, exist_ok=True)
            folder = opened.enter_context(tempfile.TemporaryDirectory(dir=path.parent))
            new[path] = Path(folder) / path.name
            return new[path]

        new: dict[Path, Path] = {}
        text = json.dumps(found.to_dict(), indent=1, allow_nan=False)
        beside(out).write_text(text + "\n")
        if apply is not None:
            _release(found, source).write_parquet(beside(apply))
            fitted = apply.with_suffix(".npz")
            with beside(fitted).open("wb") as file:
                np.savez(file, allow_pickle=False, **fitted_arrays(found.fitted))
            said += [f"{apply}: the defended vectors, one release", f"{fitted}: {SAFE}"]
        for path, complete in new.items():
            complete.replace(path)
    return said


def _release(found: Advice, source: Vectors) -> pl.DataFrame:
    kept = {name: one for name, one in source.columns.items() if " " not in name}
    vector = found.release(None)
    dtype = pl.Array(pl.Float64 if vector.dtype == np.float64 else pl.Float32, vector.shape[1])
    return pl.DataFrame({"user_id": source.user, **kept, "vector": pl.Series(vector, dtype=dtype)})


def show(found: Advice, notes: Sequence[str], written: Sequence[str]) -> None:
    """Print the advice in sentences, and a table of all defenses."""
    console = Console(highlight=False, markup=False)
    console.print(*notes, *sentences(found), sep="\n", soft_wrap=True)
    console.print(_table(found))
    console.print(*written, sep="\n", soft_wrap=True)


def sentences(found: Advice) -> list[str]:
    """Say which defense to use, what it leaves to attackers, what it costs and what is certain."""
    best, lift = found.chosen, found.chosen.lift
    assert lift is not None
    times = f"who averages {found.releases:,} releases " if found.releases > 1 else ""
    said = [
        f"Release with {_named(best)}: on users that had no part in choosing it, an attacker "
        f"{times}among {found.num_gallery:,} users is {lift.lift:.3g} times better than chance "
        f"({lift.low:.3g}-{lift.high:.3g}; {lift.attack}, the strongest of those tried)."
    ]
    if found.num_looks > 1:
        said.append(
            f"It took {found.num_looks} strengths or defenses until these users confirmed one, "
            "so that the interval is a little too low."
        )
    if best.bound_lift is None:
        said.append(f"Other attackers may do better; nothing bounds them: {best.bound_reason}.")
    else:
        said.append(
            f"No attacker whatever exceeds a lift of {best.bound_lift:.4g} under its assumptions."
        )
    before, after = found.undefended.cost, best.cost
    assert before is not None
    assert after is not None
    said += [
        f"{name}: AUC {one.auc:.3f} ({one.low:.3f}-{one.high:.3f}), {before.auc[name].auc:.3f} "
        "undefended."
        for name, one in after.auc.items()
    ]
    said.append(
        f"Vectors are moved by {after.distortion:.3g} of their variance; {100 * after.overlap:.0f} "
        "% of a user's ten nearest users stay among them."
    )
    return said


def _named(option: Option) -> str:
    return f"{option.defense} {plain(option.parameters)}" if option.parameters else option.defense


def _table(found: Advice) -> Table:
    labels = list(found.chosen.cost.auc) if found.chosen.cost else []
    first = Column("defense", overflow="fold", min_width=24)
    table = Table(first, box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    costs = [f"AUC {name}" for name in labels] or ["distortion", "overlap"]
    for name in ("lift", "by", "bound", *costs, "reaches"):
        table.add_column(name, justify="right")
    listed = found.options if found.chosen.defense == "none" else (*found.options, found.undefended)
    for option in listed:
        lift = option.lift or option.chosen_on
        cost = option.cost
        assert cost is not None
        figures = [f"{cost.auc[name].auc:.3f}" for name in labels]
        table.add_row(
            _named(option),
            f"{lift.lift:.3g} ({lift.low:.3g}-{lift.high:.3g})",
            lift.attack,
            "" if option.bound_lift is None else f"{option.bound_lift:.4g}",
            *(figures or [f"{cost.distortion:.3g}", f"{cost.overlap:.2f}"]),
            "yes" if option.reaches else "no",
        )
    return table
