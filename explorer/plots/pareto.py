"""A Pareto set above the architectures that it beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.plots.base import range_of_equal, styled
from explorer.plots.palette import GREY, VERMILLION, category_color
from explorer.plots.titles import escaped

HEIGHT = 420
PICKS = ("circle-open", "square-open", "triangle-up-open", "triangle-down-open", "hexagon-open")
"""Shapes of studies' picks, so that colour is not all that tells them apart."""


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
        all there is, as only then it has no point of another on its better side. The last of a point's custom data is
        its id.
    """
    across, up = objectives[:2]
    hover = _hover(objectives)
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
                customdata=_told(beaten, objectives),
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
            customdata=_told(ordered, objectives),
            hovertemplate=hover,
        )
    )
    styled(figure, HEIGHT, showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    for update, axis in ((figure.update_xaxes, across), (figure.update_yaxes, up)):
        better = "more is better" if axis.more else "less is better"
        update(title_text=f"{axis.title} ({better})", range=range_of_equal(points[axis.column]))
    return figure


def add_picks(figure: go.Figure, name: str, picks: pd.DataFrame, objectives: Sequence[Axis], place: int) -> None:
    """Ring the points that a study evaluated.

    Args:
        figure: as ``pareto_plot`` made it; changed in place.
        name: of the study.
        picks: those of the points, with their columns.
        objectives: as ``pareto_plot`` got them.
        place: among the studies that are shown, which makes colour and shape.
    """
    figure.add_trace(
        go.Scatter(
            x=picks[objectives[0].column].to_numpy(),
            y=picks[objectives[1].column].to_numpy(),
            mode="markers",
            marker={
                "symbol": PICKS[place % len(PICKS)],
                "size": 12 + 2 * place,
                "color": category_color(place),
                "line": {"width": 2},
            },
            name=f"{escaped(name)} ({len(picks):,})",
            customdata=_told(picks, objectives),
            hovertemplate=_hover(objectives).replace("<extra></extra>", f"<extra>{escaped(name)}</extra>"),
        )
    )


def add_mark(figure: go.Figure, point: pd.DataFrame, objectives: Sequence[Axis]) -> None:
    """Mark the selected point, a frame of one row, in place; it cannot be pointed at, so what lies below still can."""
    x, y = (point[one.column].to_numpy() for one in objectives[:2])
    marker = {"symbol": "circle-open", "size": 22, "color": GREY, "line": {"width": 3}}
    figure.add_trace(go.Scatter(x=x, y=y, mode="markers", marker=marker, showlegend=False, hoverinfo="skip"))


def _told(points: pd.DataFrame, objectives: Sequence[Axis]) -> NDArray[np.object_]:
    """What pointing at a point tells, and last its id."""
    names = ["label", "operations", *(one.column for one in objectives[2:])]
    return points[names].assign(id=points.index).to_numpy(dtype=object)


def _hover(objectives: Sequence[Axis]) -> str:
    places = ["%{x:,.6~g}", "%{y:,.6~g}", *(f"%{{customdata[{n}]:,.6~g}}" for n in range(2, len(objectives)))]
    values = [f"{escaped(one.title)} {place}" for one, place in zip(objectives, places, strict=True)]
    return "<br>".join(["<b>%{customdata[0]}</b>", "%{customdata[1]}", *values]) + "<extra></extra>"
