"""Pareto fronts, with the dominated architectures in the background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.plots.base import points_type, range_of_equal, styled
from explorer.plots.palette import GREY, VERMILLION, category_color
from explorer.plots.titles import escaped

HEIGHT = 420
PICKS = ("circle-open", "square-open", "triangle-up-open", "triangle-down-open", "hexagon-open")
"""Symbols of the architectures that a study evaluated, one per study in addition to its colour."""


@dataclass(frozen=True)
class Axis:
    """An objective.

    Attributes:
        column: column in the frame of points.
        title: title of the axis.
        more: whether it is maximised.
    """

    column: str
    title: str
    more: bool


def study_axes(objective: str, against: Sequence[str]) -> list[Axis]:
    """Return the axes of a study: a minimised quantity on x, the maximised objective on y, then other quantities."""
    first, *others = (Axis(name, name, more=False) for name in against)
    return [first, Axis("value", objective, more=True), *others]


def pareto_plot(points: pd.DataFrame, front: pd.Index, objectives: Sequence[Axis]) -> go.Figure:
    """Draw the first two objectives; hover labels show the others.

    Args:
        points: indexed by id, with ``label, operations`` and a column without missing values for each objective.
        front: ids of the non-dominated points.
        objectives: two or more, with different columns.

    Returns:
        A figure with the dominated points in grey and the front on top. A step line joins the front if there are two
        objectives; with more, dominated points could lie beyond it. ``customdata`` of a point ends with its id.
    """
    across, up = objectives[:2]
    hover = _hover(objectives)
    figure = go.Figure()
    ordered = points.loc[front].sort_values([across.column, up.column])
    dominated = points.drop(front)
    if len(dominated):
        figure.add_trace(
            points_type(len(dominated))(
                x=dominated[across.column].to_numpy(),
                y=dominated[up.column].to_numpy(),
                mode="markers",
                marker={"color": GREY, "opacity": 0.65, "size": 6},
                name=f"dominated ({len(dominated):,})",
                customdata=_details(dominated, objectives),
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
            name=f"Pareto front ({len(ordered):,})",
            customdata=_details(ordered, objectives),
            hovertemplate=hover,
        )
    )
    styled(figure, HEIGHT, showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    for update, axis in ((figure.update_xaxes, across), (figure.update_yaxes, up)):
        direction = "maximise" if axis.more else "minimise"
        update(title_text=f"{axis.title} ({direction})", range=range_of_equal(points[axis.column]))
    return figure


def add_picks(figure: go.Figure, name: str, picks: pd.DataFrame, objectives: Sequence[Axis], position: int) -> None:
    """Mark the points that a study evaluated.

    Args:
        figure: a figure of ``pareto_plot``; changed in place.
        name: name of the study.
        picks: the evaluated points, with the columns of ``pareto_plot``.
        objectives: the objectives passed to ``pareto_plot``.
        position: position among the shown studies; determines colour and symbol.
    """
    figure.add_trace(
        go.Scatter(
            x=picks[objectives[0].column].to_numpy(),
            y=picks[objectives[1].column].to_numpy(),
            mode="markers",
            marker={
                "symbol": PICKS[position % len(PICKS)],
                "size": 12 + 2 * position,
                "color": category_color(position),
                "line": {"width": 2},
            },
            name=f"{escaped(name)} ({len(picks):,})",
            customdata=_details(picks, objectives),
            hovertemplate=_hover(objectives).replace("<extra></extra>", f"<extra>{escaped(name)}</extra>"),
        )
    )


def add_mark(figure: go.Figure, point: pd.DataFrame, objectives: Sequence[Axis]) -> None:
    """Mark the selected point (a frame of one row) in place; the point keeps its own hover label."""
    x, y = (point[axis.column].to_numpy() for axis in objectives[:2])
    marker = {"symbol": "circle-open", "size": 22, "color": GREY, "line": {"width": 3}}
    figure.add_trace(go.Scatter(x=x, y=y, mode="markers", marker=marker, showlegend=False, hoverinfo="skip"))


def _details(points: pd.DataFrame, objectives: Sequence[Axis]) -> NDArray[np.object_]:
    """Return the values in the hover label of each point, then its id."""
    names = ["label", "operations", *(axis.column for axis in objectives[2:])]
    return points[names].assign(id=points.index).to_numpy(dtype=object)


def _hover(objectives: Sequence[Axis]) -> str:
    fields = ["%{x:,.6~g}", "%{y:,.6~g}", *(f"%{{customdata[{n}]:,.6~g}}" for n in range(2, len(objectives)))]
    values = [f"{escaped(axis.title)} {field}" for axis, field in zip(objectives, fields, strict=True)]
    return "<br>".join(["<b>%{customdata[0]}</b>", "%{customdata[1]}", *values]) + "<extra></extra>"
