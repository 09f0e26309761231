"""A section's points, as an HTML fragment for a page that includes plotly.js."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.colors import qualitative

from suite.leaderboard.sections import Point, Section

SPREAD = 0.6
"""Share of the distance between two groups over which the names of one group are spread."""


def points(section: Section) -> str:
    """Draw a section's points, if any: groups side by side, one color per name."""
    if not section.points:
        return ""
    groups = list(dict.fromkeys(point.group for point in section.points))
    names = list(dict.fromkeys(point.name for point in section.points))
    figure = go.Figure()
    for number, name in enumerate(names):
        same = [point for point in section.points if point.name == name]
        shift = SPREAD * (number - (len(names) - 1) / 2) / len(names)
        color = qualitative.Safe[number % len(qualitative.Safe)]
        figure.add_trace(_series(same, [groups.index(p.group) + shift for p in same], color))
    figure.update_layout(
        template="plotly_white",
        height=420,
        xaxis={"tickvals": list(range(len(groups))), "ticktext": groups},
        legend={"orientation": "h", "y": -0.35},
        margin={"t": 20},
    )
    html: str = figure.to_html(full_html=False, include_plotlyjs=False)
    return html


def _series(same: list[Point], x: list[float], color: str) -> go.Scatter:
    bounds = [
        (p.value if p.low is None else p.low, p.value if p.high is None else p.high) for p in same
    ]
    return go.Scatter(
        x=x,
        y=[point.value for point in same],
        mode="markers",
        name=same[0].name,
        marker={"color": color, "size": 9},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [high - p.value for p, (_, high) in zip(same, bounds, strict=True)],
            "arrayminus": [p.value - low for p, (low, _) in zip(same, bounds, strict=True)],
        },
    )
