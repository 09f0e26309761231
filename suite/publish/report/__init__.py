"""The HTML report: one self-contained page with the plot, the tables and explanations."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from suite.leaderboard import render as tables
from suite.leaderboard.rows import Leaderboard
from suite.publish.report.plot import plot
from suite.publish.report.points import points


def page(board: Leaderboard) -> str:
    """Return the page, which loads nothing: plotly.js (about 4 MB) is included."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("page.html.j2").render(
        board=board,
        title=tables.title(board),
        plot=Markup(plot(board)),
        points=lambda section: Markup(points(section)),
        sections=tables.sections(board),
        numbers=tables.NUMBERS + tables.SEEDS,
        notes=tables.notes(board),
    )


def write(board: Leaderboard, folder: Path) -> None:
    """Write ``leaderboard.{json,csv,md,html}``, each atomically.

    The JSON is written last: if it exists, the others do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for kind, render in (
        ("html", page),
        ("md", tables.markdown),
        ("csv", tables.csv),
        ("json", Leaderboard.to_json),
    ):
        path = folder / f"leaderboard.{kind}"
        unfinished = path.with_suffix(f".{kind}.tmp")
        unfinished.write_text(render(board), encoding="utf-8")
        unfinished.replace(path)
