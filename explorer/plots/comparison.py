"""Figures that compare architectures: graphs with their differences, and dissimilarities."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from explorer.plots.base import styled
from explorer.plots.drawing import node_positions
from explorer.plots.palette import GREY, VERMILLION, YELLOW
from explorer.plots.titles import escaped
from explorer.similarity.graph import ArchitectureGraph
from explorer.space.operations import operation_color, operation_title

NODE_SYMBOLS = {"head": "circle", "add_norm": "diamond", "bottleneck": "triangle-down"}
NODE_TITLES = {
    "input": "Input and output",
    "output": "Input and output",
    "add_norm": "Add and normalise",
    "feed_forward": "Feed-forward",
    "bottleneck": "Bottleneck",
}
DIFFERS = "differs (ring)"
LONGEST_TITLE = 48


@dataclass(frozen=True)
class DrawnGraph:
    """A graph to draw.

    Attributes:
        title: name of the architecture.
        graph: nodes and edges.
        marked: indices of the nodes to highlight with a ring.
    """

    title: str
    graph: ArchitectureGraph
    marked: Collection[int]


def graphs_side_by_side(drawn: Sequence[DrawnGraph]) -> go.Figure:
    """Draw one or more graphs below each other on a common scale, input on the left."""
    titles = [escaped(one.title)[:LONGEST_TITLE] for one in drawn]
    figure = make_subplots(rows=len(drawn), cols=1, subplot_titles=titles, vertical_spacing=0.35 / (len(drawn) + 1))
    shown: set[str] = set()
    height, widest = 0.0, 0.0
    for row, one in enumerate(drawn, start=1):
        positions = node_positions(one.graph.kinds, one.graph.layers)
        reach = max(abs(y) for _, y in positions)
        widest = max(widest, *(x for x, _ in positions))
        height += 150 + 26 * min(2 * reach + 1, 12)
        _edges(figure, one.graph, positions, row)
        _rings(figure, one, positions, row, shown)
        _nodes(figure, one.graph, positions, row, shown)
        figure.update_yaxes(visible=False, range=[-reach - 1.6, reach + 1.0], row=row, col=1)
    styled(figure, int(height) + 60, showlegend=True, dragmode="pan", hovermode="closest")
    figure.update_layout(legend={"orientation": "h", "y": -0.01, "yanchor": "top", "x": 0.0})
    figure.update_xaxes(visible=False, range=[-0.8, widest + 0.8])
    figure.update_annotations(x=0.0, xanchor="left", font={"size": 14})
    return figure


def _edges(figure: go.Figure, graph: ArchitectureGraph, positions: Sequence[tuple[float, float]], row: int) -> None:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for source, target in graph.edges:
        (x0, y0), (x1, y1) = positions[source], positions[target]
        if x1 - x0 > 1:  # Route a skip connection below the nodes in between.
            low = -max(abs(y) for x, y in positions if x0 < x < x1) - 0.9
            xs += [x0, x0 + 0.3, x1 - 0.3, x1, None]
            ys += [y0, low, low, y1, None]
        else:
            xs += [x0, x1, None]
            ys += [y0, y1, None]
    line = {"color": "rgba(128,128,128,0.7)", "width": 1.2}
    trace = go.Scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    figure.add_trace(trace, row=row, col=1)


def _rings(
    figure: go.Figure, one: DrawnGraph, positions: Sequence[tuple[float, float]], row: int, shown: set[str]
) -> None:
    marked = sorted(one.marked)
    if not marked:
        return
    marker = {"size": 21, "color": "rgba(0,0,0,0)", "symbol": "circle", "line": {"width": 3, "color": VERMILLION}}
    trace = go.Scatter(
        x=[positions[node][0] for node in marked],
        y=[positions[node][1] for node in marked],
        mode="markers",
        marker=marker,
        name=DIFFERS,
        legendgroup=DIFFERS,
        showlegend=DIFFERS not in shown,
        hoverinfo="skip",
    )
    shown.add(DIFFERS)
    figure.add_trace(trace, row=row, col=1)


def _nodes(
    figure: go.Figure,
    graph: ArchitectureGraph,
    positions: Sequence[tuple[float, float]],
    row: int,
    shown: set[str],
) -> None:
    groups: dict[tuple[str, str, str], list[int]] = {}
    for node, (kind, label) in enumerate(zip(graph.kinds, graph.labels, strict=True)):
        groups.setdefault(_look(kind, label), []).append(node)
    for (title, color, symbol), nodes in groups.items():
        trace = go.Scatter(
            x=[positions[node][0] for node in nodes],
            y=[positions[node][1] for node in nodes],
            mode="markers",
            customdata=[[graph.labels[node], _place(graph.layers[node])] for node in nodes],
            hovertemplate="<b>" + title + "</b><br>%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
            marker={
                "size": 12,
                "color": color,
                "symbol": symbol,
                "line": {"width": 1, "color": "rgba(128,128,128,0.9)"},
            },
            name=title,
            legendgroup=title,
            showlegend=title not in shown,
        )
        shown.add(title)
        figure.add_trace(trace, row=row, col=1)


def _look(kind: str, label: str) -> tuple[str, str, str]:
    """Return legend title, colour and symbol of a node; the label of a head is ``family_hHIDDEN_parameter``."""
    parts = label.split("_")
    if kind == "head" and len(parts) >= 3:
        operation = f"{parts[0]}_{parts[2]}"
        return operation_title(operation), operation_color(operation), NODE_SYMBOLS["head"]
    color = YELLOW if kind == "feed_forward" else GREY
    return NODE_TITLES.get(kind, kind), color, NODE_SYMBOLS.get(kind, "square")


def _place(layer: int) -> str:
    return f"layer {layer}" if layer >= 0 else "outside the layers"


def dissimilarity_map(values: NDArray[np.float64], titles: Sequence[str]) -> go.Figure:
    """Draw dissimilarities ``[N, N]`` as an annotated heat map; titles are unique."""
    names = [escaped(title) for title in titles]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=names,
            y=names,
            colorscale="Cividis",
            reversescale=True,
            zmin=0.0,
            text=[[f"{value:.3f}" for value in row] for row in values],
            texttemplate="%{text}",
            hovertemplate="%{y} and %{x}: %{z:.4f}<extra></extra>",
            colorbar={"title": {"text": "dissimilarity"}},
            xgap=2,
            ygap=2,
        )
    )
    styled(figure, 150 + 52 * len(names))
    figure.update_yaxes(autorange="reversed")
    return figure
