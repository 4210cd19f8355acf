"""How operations and widths are spread over the layers, and what that does to scores."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.plots.base import range_of_equal, styled
from explorer.plots.palette import category_color, operation_color, operation_title, shades

HEIGHT = 360
Groups = Mapping[str, pd.DataFrame]
"""Title of a group of architectures → its layers (``id, layer, operation, hidden``)."""


def operation_shares(groups: Groups) -> go.Figure:
    """Share of each operation at each layer, one panel per group."""
    return _shares(groups, "operation", lambda value, _: operation_color(str(value)), lambda v: operation_title(str(v)))


def width_shares(groups: Groups) -> go.Figure:
    """Share of each hidden size at each layer, one panel per group."""
    widths = sorted({int(width) for frame in groups.values() for width in frame["hidden"].unique()})
    colors: dict[Hashable, str] = dict(zip(widths, shades(len(widths)), strict=True)) if widths else {}
    return _shares(groups, "hidden", lambda value, _: colors[value], lambda value: f"hidden {value}")


def _shares(
    groups: Groups, column: str, color: Callable[[Hashable, int], str], title: Callable[[Hashable], str]
) -> go.Figure:
    figure = make_subplots(rows=1, cols=len(groups), subplot_titles=list(groups), shared_yaxes=True)
    categories = sorted({value for frame in groups.values() for value in frame[column].unique()})
    for panel, frame in enumerate(groups.values(), start=1):
        counts = frame.groupby(["layer", column]).size().unstack(fill_value=0)
        shares = counts.div(counts.sum(axis=1), axis=0)
        for position, value in enumerate(categories):
            if value not in shares:
                continue
            name = title(value)
            figure.add_trace(
                go.Bar(
                    x=[f"layer {layer}" for layer in shares.index],
                    y=shares[value],
                    customdata=counts[value],
                    name=name,
                    legendgroup=name,
                    # Every category is named once, by the first panel that has it.
                    showlegend=not any(trace.legendgroup == name for trace in figure.data),
                    legendrank=position + 1,
                    marker={"color": color(value, position), "line": {"width": 0}},
                    hovertemplate="%{x}: %{y:.0%} (%{customdata})<extra>" + name + "</extra>",
                ),
                row=1,
                col=panel,
            )
    styled(figure, HEIGHT, barmode="stack", bargap=0.15)
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    return figure


def heterogeneity_scatter(points: pd.DataFrame, series: str) -> go.Figure:
    """Heterogeneity against score, one colour and symbol per depth.

    Args:
        points: indexed by id, with ``heterogeneity, score, depth, label, operations``.
        series: what the score is, for the axis.
    """
    figure = go.Figure()
    symbols = ("circle", "diamond", "square", "cross", "triangle-up")
    for position, (depth, rows) in enumerate(points.groupby("depth", sort=True)):
        figure.add_trace(
            go.Scatter(
                x=rows["heterogeneity"],
                y=rows["score"],
                mode="markers",
                name=f"{depth} layers",
                marker={
                    "color": category_color(position),
                    "symbol": symbols[position % len(symbols)],
                    "size": 9,
                    "opacity": 0.75,
                },
                customdata=rows[["label", "operations"]].to_numpy(),
                hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>heterogeneity %{x:.2f}, score %{y:.4f}"
                "<extra></extra>",
            )
        )
    styled(figure, HEIGHT, showlegend=True)
    figure.update_xaxes(title_text="heterogeneity (0: all layers alike)", range=[-0.03, 1.03])
    figure.update_yaxes(title_text=series, range=range_of_equal(points["score"]))
    return figure
