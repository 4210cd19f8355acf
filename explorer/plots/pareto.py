"""A Pareto set above the architectures that it beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from explorer.plots.base import range_of_equal, styled
from explorer.plots.palette import GREY, VERMILLION
from explorer.plots.titles import escaped

HEIGHT = 420


@dataclass(frozen=True)
class Axis:
    """An objective.

    Attributes:
        column: of the frame of points.
        title: for people.
        more: whether more of it is better.
    """

    column: str
    title: str
    more: bool


def study_axes(objective: str, against: Sequence[str]) -> list[Axis]:
    """A study's value, of which more is better, up, and what it is set against, of which less is, across and beyond."""
    first, *others = (Axis(name, name, more=False) for name in against)
    return [first, Axis("value", objective, more=True), *others]


def pareto_plot(points: pd.DataFrame, front: pd.Index, objectives: Sequence[Axis]) -> go.Figure:
    """Draw the first two objectives; the others are told where a point is pointed at.

    Args:
        points: indexed by id, with ``label, operations`` and a column without gaps for each objective.
        front: ids of the Pareto set, among those of the points.
        objectives: two or more, of different columns.

    Returns:
        A figure with the beaten points in grey and the front above them, joined by a step line where two objectives are
        all there is, as only then it has no point of another on its better side.
    """
    across, up = objectives[:2]
    hover, told = _hover(objectives), ["label", "operations", *(one.column for one in objectives[2:])]
    figure = go.Figure()
    ordered = points.loc[front].sort_values([across.column, up.column])
    beaten = points.drop(front)
    if len(beaten):
        # WebGL, as there may be ten thousand; it lies below the front, which is not drawn by it.
        figure.add_trace(
            go.Scattergl(
                x=beaten[across.column].to_numpy(),
                y=beaten[up.column].to_numpy(),
                mode="markers",
                marker={"color": GREY, "opacity": 0.65, "size": 6},
                name=f"beaten ({len(beaten):,})",
                customdata=beaten[told].to_numpy(),
                hovertemplate=hover,
            )
        )
    figure.add_trace(
        go.Scatter(
            x=ordered[across.column].to_numpy(),
            y=ordered[up.column].to_numpy(),
            mode="lines+markers" if len(objectives) == 2 else "markers",
            line={"shape": "vh" if across.more else "hv", "width": 1, "color": VERMILLION},
            marker={"color": VERMILLION, "symbol": "diamond", "size": 11},
            name=f"Pareto set ({len(ordered):,})",
            customdata=ordered[told].to_numpy(),
            hovertemplate=hover,
        )
    )
    styled(figure, HEIGHT, showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    for update, axis in ((figure.update_xaxes, across), (figure.update_yaxes, up)):
        better = "more is better" if axis.more else "less is better"
        update(title_text=f"{axis.title} ({better})", range=range_of_equal(points[axis.column]))
    return figure


def _hover(objectives: Sequence[Axis]) -> str:
    places = ["%{x:,.6~g}", "%{y:,.6~g}", *(f"%{{customdata[{n}]:,.6~g}}" for n in range(2, len(objectives)))]
    values = [f"{escaped(one.title)} {place}" for one, place in zip(objectives, places, strict=True)]
    return "<br>".join(["<b>%{customdata[0]}</b>", "%{customdata[1]}", *values]) + "<extra></extra>"
