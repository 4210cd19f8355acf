"""Distribution of operations and widths over layers, and heterogeneity against scores."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from explorer.plots.base import points_type, range_of_equal, styled
from explorer.plots.palette import DASHES, category_color, shades
from explorer.plots.titles import escaped
from explorer.space.operations import operation_color, operation_title

HEIGHT = 360
Groups = Mapping[str, pd.DataFrame]
"""Title of a group of architectures → its layers (``id, layer, operation, hidden``)."""


def operation_shares(groups: Groups) -> go.Figure:
    """Draw the share of each operation at each layer, one panel per group."""
    return _shares(groups, "operation", lambda value, _: operation_color(str(value)), lambda v: operation_title(str(v)))


def width_shares(groups: Groups) -> go.Figure:
    """Draw the share of each hidden size at each layer, one panel per group."""
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
                    # Only the first panel with a category adds it to the legend.
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


def heterogeneity_scatter(points: pd.DataFrame, title: str, column: str = "score", groups: str = "") -> go.Figure:
    """Draw scores against heterogeneity, one colour and symbol per group.

    Args:
        points: indexed by id, with ``heterogeneity, depth, label, operations`` and the named columns.
        title: name of the score, for the axis.
        column: column of the score.
        groups: column of the groups, sorted by name; by default the depth.
    """
    figure = go.Figure()
    symbols = ("circle", "diamond", "square", "cross", "triangle-up")
    for position, (group, rows) in enumerate(points.groupby(groups or "depth", sort=True)):
        figure.add_trace(
            go.Scatter(
                x=rows["heterogeneity"],
                y=rows[column],
                mode="markers",
                name=escaped(str(group)) if groups else f"{group} layers",
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
    figure.update_xaxes(title_text="heterogeneity (0: all layers equal)", range=[-0.03, 1.03])
    figure.update_yaxes(title_text=escaped(title), range=range_of_equal(points[column]))
    return figure


def kind_frontiers(points: pd.DataFrame, fronts: Mapping[str, pd.Index], title: str, lower: bool) -> go.Figure:
    """Draw scores against sizes for several kinds of architectures, each with its Pareto front.

    Args:
        points: indexed by id, with ``parameters, score, kind, heterogeneity, label, operations``.
        fronts: kind → ids of its non-dominated architectures, by size; a kind without architectures is skipped.
        title: of the score kind, for the axis.
        lower: whether lower scores are better.
    """
    figure = go.Figure()
    symbols = ("circle", "diamond", "square", "cross")
    for position, (kind, front) in enumerate(fronts.items()):
        rows, color = points[points["kind"] == kind], category_color(position)
        if rows.empty:
            continue
        details = rows[["label", "operations", "heterogeneity"]].to_numpy()
        hover = (
            "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>heterogeneity %{customdata[2]:.2f}<br>"
            "%{x:,} parameters, score %{y:.4f}<extra>" + escaped(kind) + "</extra>"
        )
        marker = {"color": color, "symbol": symbols[position % len(symbols)], "size": 7, "opacity": 0.45}
        figure.add_trace(
            points_type(len(points))(
                x=rows["parameters"].to_numpy(),
                y=rows["score"].to_numpy(),
                mode="markers",
                marker=marker,
                customdata=details,
                hovertemplate=hover,
                name=f"{escaped(kind)} ({len(rows):,})",
            )
        )
        on = points.loc[front]
        figure.add_trace(
            go.Scatter(
                x=on["parameters"].to_numpy(),
                y=on["score"].to_numpy(),
                mode="lines+markers",
                line={"shape": "hv", "width": 2, "color": color, "dash": DASHES[position % len(DASHES)]},
                marker=marker | {"size": 11, "opacity": 1.0},
                customdata=on[["label", "operations", "heterogeneity"]].to_numpy(),
                hovertemplate=hover,
                name=f"its Pareto front ({len(on):,})",
            )
        )
    styled(figure, HEIGHT + 60, showlegend=True)
    figure.update_xaxes(title_text="parameters (minimise)")
    figure.update_yaxes(
        title_text=f"{escaped(title)} ({'minimise' if lower else 'maximise'})", range=range_of_equal(points["score"])
    )
    return figure
