"""Figures of SuperShaper shapes: widths per layer, kinds of shapes, layer importance, variance of latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from explorer.plots.base import points_type, styled, translucent
from explorer.plots.palette import BLUE, DASHES, GREY, VERMILLION, category_color
from explorer.plots.titles import escaped

HEIGHT = 360
ROW = 34
"""Height of a horizontal bar, in pixels."""
SHARES = {
    "parameters": ("parameters", BLUE),
    "shape": ("shape, given the parameters", VERMILLION),
    "rest": ("unexplained", GREY),
}


def _layer_axis(figure: go.Figure, layers: int) -> None:
    figure.update_xaxes(title_text="layer (1 is next to the input)", tickvals=list(range(1, layers + 1)))


def shape_bars(widths: Sequence[int], widest: int) -> go.Figure:
    """Draw one shape as bars, from input to output.

    Args:
        widths: width of each layer.
        widest: largest width that a layer may have; sets the range of the axis.
    """
    layers = list(range(1, len(widths) + 1))
    bars = go.Bar(
        x=layers,
        y=list(widths),
        text=[str(width) for width in widths],
        textposition="outside",
        cliponaxis=False,
        marker={"color": BLUE, "line": {"width": 0}},
        hovertemplate="layer %{x}: width %{y}<extra></extra>",
    )
    figure = styled(go.Figure(bars), HEIGHT, showlegend=False, bargap=0.25)
    _layer_axis(figure, len(layers))
    figure.update_yaxes(title_text="width", range=[0, 1.1 * widest])
    return figure


def shape_profiles(shapes: Mapping[str, Sequence[int]], widest: int) -> go.Figure:
    """Draw one or more named shapes with equally many layers as step lines."""
    figure = go.Figure()
    layers = len(next(iter(shapes.values())))
    for turn, (name, widths) in enumerate(shapes.items()):
        figure.add_trace(
            go.Scatter(
                x=list(range(1, layers + 1)),
                y=list(widths),
                name=escaped(name),
                mode="lines+markers",
                line={"shape": "hvh", "color": category_color(turn), "dash": DASHES[turn % len(DASHES)], "width": 2},
                hovertemplate="layer %{x}: width %{y}",
            )
        )
    styled(figure, HEIGHT, showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    _layer_axis(figure, layers)
    figure.update_yaxes(title_text="width", range=[0, 1.1 * widest])
    return figure


def layer_importance_plot(importance: pd.DataFrame) -> go.Figure:
    """Draw the importance of each layer's width, with error bars.

    Args:
        importance: ``layer`` from 1, ``importance, low, high``, ordered by layer; ``predictor`` if there are several.
    """
    figure = go.Figure()
    named = importance if "predictor" in importance else importance.assign(predictor="")
    for turn, (name, rows) in enumerate(named.groupby("predictor", sort=False)):
        error = {
            "type": "data",
            "symmetric": False,
            "array": (rows["high"] - rows["importance"]).to_numpy(),
            "arrayminus": (rows["importance"] - rows["low"]).to_numpy(),
            "thickness": 1.2,
        }
        bars = go.Bar(
            x=rows["layer"],
            y=rows["importance"],
            name=escaped(str(name)),
            marker={"color": category_color(turn), "line": {"width": 0}},
            error_y=error,
            hovertemplate="layer %{x}: %{y:.1%}",
        )
        figure.add_trace(bars)
    styled(figure, HEIGHT, showlegend="predictor" in importance, bargap=0.25)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    _layer_axis(figure, int(importance["layer"].max()))
    figure.update_yaxes(title_text="increase of the held-out error<br>(share of the loss's variance)", tickformat=".0%")
    return figure


def kinds_compared(kinds: pd.DataFrame) -> go.Figure:
    """Draw predicted perplexities of kinds of shapes of equal size, with 95 % intervals.

    Args:
        kinds: ``kind, value, low, high``, and ``shape`` as text for the hover label; drawn from top to bottom.
    """
    figure = go.Figure(
        go.Scatter(
            x=kinds["value"],
            y=kinds["kind"],
            mode="markers",
            marker={"color": BLUE, "size": 10},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (kinds["high"] - kinds["value"]).to_numpy(),
                "arrayminus": (kinds["value"] - kinds["low"]).to_numpy(),
                "thickness": 1.5,
            },
            customdata=kinds[["low", "high", "shape"]].to_numpy(),
            hovertemplate="%{y}: %{x:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})<br>%{customdata[2]}"
            "<extra></extra>",
        )
    )
    styled(figure, 90 + ROW * len(kinds), showlegend=False)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title_text="predicted perplexity (minimise); bars contain 95 % of measurements")
    return figure


def variance_bars(shares: pd.DataFrame) -> go.Figure:
    """Draw the decomposition of each quantity's variance over shapes.

    Args:
        shares: ``name, parameters, shape, rest``; shares below 0 are drawn as 0.
    """
    figure = go.Figure()
    for column, (title, color) in SHARES.items():
        bars = go.Bar(
            x=shares[column].clip(lower=0.0),
            y=shares["name"],
            orientation="h",
            name=title,
            marker={"color": color, "line": {"width": 0}},
            customdata=shares[column].to_numpy(),
            hovertemplate="%{y}, " + title + ": %{customdata:.2%}<extra></extra>",
        )
        figure.add_trace(bars)
    styled(figure, 110 + ROW * len(shares), barmode="stack", bargap=0.3, showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0, "traceorder": "normal"})
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title_text="share of the variance of the logarithm", tickformat=".0%", range=[0, 1.0])
    return figure


def by_parameters(points: pd.DataFrame, chosen: pd.DataFrame | None = None) -> go.Figure:
    """Draw measured quantities, relative to their medians, against the number of parameters.

    Args:
        points: ``name, parameters, relative, shape``; ``relative`` is 1 at the median of the ``name``.
        chosen: shapes to highlight, with the same columns.
    """
    figure = go.Figure()
    for turn, (name, rows) in enumerate(points.groupby("name", sort=False)):
        dots = points_type(len(points))(
            x=rows["parameters"],
            y=rows["relative"],
            name=escaped(str(name)),
            mode="markers",
            marker={"color": translucent(category_color(turn), 0.55), "size": 5},
            customdata=rows["shape"].to_numpy(),
            hovertemplate="%{customdata}<br>%{x:,.0f} parameters: %{y:.3f} of the median",
        )
        figure.add_trace(dots)
    if chosen is not None and len(chosen):
        marks = go.Scatter(
            x=chosen["parameters"],
            y=chosen["relative"],
            name="this shape (predicted)",
            mode="markers",
            marker={"color": VERMILLION, "size": 14, "symbol": "diamond", "line": {"color": "white", "width": 1.5}},
            customdata=chosen["name"].to_numpy(),
            hovertemplate="this shape, %{customdata}: %{y:.3f} of the median",
        )
        figure.add_trace(marks)
    styled(figure, 420, showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    figure.update_xaxes(title_text="parameters")
    figure.update_yaxes(title_text="relative to the median")
    return figure
