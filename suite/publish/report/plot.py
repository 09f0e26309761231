"""The AUC-versus-lift plot, as an HTML fragment."""

from __future__ import annotations

from itertools import cycle, product

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

from suite.leaderboard.render import Group, groups
from suite.leaderboard.rows import Leaderboard, Row

SYMBOLS = (
    *("circle", "square", "diamond", "triangle-up", "pentagon", "star", "hexagon", "cross"),
    *("x", "triangle-down", "hexagram", "octagon", "star-diamond", "bowtie", "hourglass"),
)

HOVER = (
    "synthetic",
    "release",
    "protocol",
    "defense",
    "releases_m",
    "attacker_holds",
    "seed",
    "lift",
    "lift_low",
    "lift_high",
    "raw_lift",
    "raw_by",
    "top1",
    "chance",
    "num_gallery",
    "num_probes",
    "auc",
    "auc_low",
    "auc_high",
)


def plot(board: Leaderboard) -> str:
    """Draw one panel per dataset, protocol and N, with plotly.js included.

    The color is the attack, the symbol the model and what is released of it. A filled point is a
    row with an AUC; a hollow one, at the same AUC, is the lift of the strongest attack on the
    model's inputs. Every seed is a separate point.
    """
    panels = [
        (group, rows)
        for group in groups(board.rows)
        if (rows := [row for line in group.lines for row in line.rows if _has_both(row)])
    ]
    if not panels:
        return "<p>No row has both an AUC and a lift: there is nothing to plot.</p>"
    drawn = [row for _, rows in panels for row in rows]
    floor = _floor(drawn)
    figure = make_subplots(
        rows=len(panels), subplot_titles=[_panel_title(group) for group, _ in panels]
    )
    attacks, sources = (sorted(set(map(name, drawn))) for name in (_attack, _source))
    colors = dict(zip(attacks, cycle(qualitative.Safe), strict=False))
    symbols = dict(zip(sources, cycle(SYMBOLS), strict=False))
    listed = set()
    for number, (_, rows) in enumerate(panels, start=1):
        for attack, source in product(attacks, sources):
            same = [row for row in rows if (row.attack, _source(row)) == (attack, source)]
            if same:
                look = (colors[attack], symbols[source])
                points = _points(same, floor, *look)
                points.showlegend = (attack, source) not in listed
                listed.add((attack, source))
                figure.add_traces([points, _inputs(same, floor, *look)], rows=number, cols=1)
        figure.add_hline(y=1, line_dash="dash", row=number, col=1)
        # Annotations, unlike lines, take the logarithm on a logarithmic axis: log10 1 = 0.
        chance = {"text": "chance", "showarrow": False, "xref": "x domain", "yanchor": "bottom"}
        figure.add_annotation(x=1, y=0, xanchor="right", **chance, row=number, col=1)
    figure.update_yaxes(type="log", title_text="lift")
    figure.update_xaxes(title_text="AUC on the test window")
    figure.update_layout(template="plotly_white", height=100 + 420 * len(panels))
    return str(figure.to_html(full_html=False, include_plotlyjs=True, div_id="auc-versus-lift"))


def _attack(row: Row) -> str:
    return row.attack


def _source(row: Row) -> str:
    """Model, with what is released of it where that is not its own vector."""
    return row.model if row.release == "model" else f"{row.model} {row.release}"


def _has_both(row: Row) -> bool:
    return row.auc is not None and row.lift is not None


def _panel_title(group: Group) -> str:
    row = group.lines[0].rows[0]
    label = " (synthetic users)" if row.synthetic else ""
    return f"{row.dataset}{label}, {row.protocol}, N = {row.num_gallery or 0:,}"


def _floor(rows: list[Row]) -> float:
    """Position of a lift of 0 on the logarithmic axis: below all others."""
    values = [v for row in rows for v in (row.lift, row.lift_low, row.raw_lift) if v]
    return min([1.0, *values]) / 2


def _points(rows: list[Row], floor: float, color: str, symbol: str) -> go.Scatter:
    lift = [max(row.lift or 0.0, floor) for row in rows]
    auc = [row.auc or 0.0 for row in rows]
    return go.Scatter(
        x=auc,
        y=lift,
        mode="markers",
        name=f"{_source(rows[0])}, {rows[0].attack}",
        legendgroup=f"{_source(rows[0])}, {rows[0].attack}",
        marker={"color": color, "symbol": symbol, "size": 10},
        error_x=_bars(auc, [row.auc_low for row in rows], [row.auc_high for row in rows]),
        error_y=_bars(
            lift,
            [None if row.lift_low is None else max(row.lift_low, floor) for row in rows],
            [row.lift_high for row in rows],
        ),
        hovertext=[_hover(row) for row in rows],
        hoverinfo="text",
    )


def _inputs(rows: list[Row], floor: float, color: str, symbol: str) -> go.Scatter:
    with_raw = [row for row in rows if row.raw_lift is not None]
    return go.Scatter(
        x=[row.auc for row in with_raw],
        y=[max(row.raw_lift or 0.0, floor) for row in with_raw],
        mode="markers",
        legendgroup=f"{_source(rows[0])}, {rows[0].attack}",
        showlegend=False,
        marker={"color": color, "symbol": f"{symbol}-open", "size": 10},
        hovertext=[
            f"inputs of {row.model}, {row.raw_by}: lift {row.raw_lift:.4g}" for row in with_raw
        ],
        hoverinfo="text",
    )


def _bars(
    center: list[float], low: list[float | None], high: list[float | None]
) -> dict[str, object]:
    """Error bars from absolute bounds; none if a bound is missing."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if h is None else max(h - c, 0.0) for c, h in zip(center, high, strict=True)],
        "arrayminus": [
            0.0 if b is None else max(c - b, 0.0) for c, b in zip(center, low, strict=True)
        ],
        "thickness": 1,
    }


def _hover(row: Row) -> str:
    facts = [f"<b>{row.model}, {row.attack}</b>"]
    for key in HOVER:
        value = getattr(row, key)
        facts.append(f"{key}: {value:.4g}" if isinstance(value, float) else f"{key}: {value}")
    return "<br>".join(facts)
