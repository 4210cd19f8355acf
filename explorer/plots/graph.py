"""The computational graph of one architecture, input on the left, output on the right."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.plots.base import styled
from explorer.plots.drawing import node_positions
from explorer.plots.palette import GREY, VERMILLION, YELLOW
from explorer.space.operations import operation_color, operation_title
from graphstore.records import LayerRecord, OpRecord

TEXT_COLUMNS = 34
"""Graphs with more columns are drawn without node labels, which would overlap."""
ARC_POINTS = 24
OUTLINE, BOX = "rgba(128,128,128,0.9)", "rgba(128,128,128,0.45)"
TITLES = {
    "input": "Input",
    "output": "Output",
    "add_norm": "Add and normalise",
    "feed_forward": "Feed-forward",
    "bottleneck": "Bottleneck",
}
SYMBOLS = {
    "input": "square",
    "output": "square",
    "add_norm": "diamond",
    "feed_forward": "square",
    "bottleneck": "hourglass",
    "head": "circle",
}


def architecture_graph(
    ops: Sequence[OpRecord],
    feeds: Sequence[tuple[int, int]],
    layers: Sequence[LayerRecord],
    chosen: int | None = None,
) -> go.Figure:
    """Draw a computational graph.

    Args:
        ops: nodes in topological order.
        feeds: edges ``(source, target)`` by node index.
        layers: the layers, drawn as boxes around their nodes.
        chosen: index of the node to highlight with a ring, if any.

    Returns:
        A figure with one trace of edges and one trace per kind of node. Every node has a hover label, and its index as
        the last entry of ``customdata``.
    """
    positions = node_positions([op.kind for op in ops], [op.layer for op in ops])
    columns = int(max((x for x, _ in positions), default=0.0)) + 1
    reach = max((abs(y) for _, y in positions), default=0.0)
    figure = go.Figure()
    _bands(figure, ops, positions, layers, reach)
    _edges(figure, feeds, positions)
    groups: dict[tuple[str, str, str], list[int]] = {}
    for node, op in enumerate(ops):
        groups.setdefault(_look(op), []).append(node)
    for (title, color, kind), nodes in groups.items():
        figure.add_trace(
            go.Scatter(
                x=[positions[n][0] for n in nodes],
                y=[positions[n][1] for n in nodes],
                mode="markers+text" if columns <= TEXT_COLUMNS else "markers",
                text=[_short(ops[n]) for n in nodes],
                textposition=["bottom center" if positions[n][1] < 0 else "top center" for n in nodes],
                customdata=[[ops[n].label, _place(ops[n]), n] for n in nodes],
                hovertemplate="<b>" + title + "</b><br>%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
                marker={
                    "size": 16 if columns <= TEXT_COLUMNS else 10,
                    "color": color,
                    "symbol": SYMBOLS.get(kind, "circle"),
                    "line": {
                        "width": [4 if n == chosen else 1 for n in nodes],
                        "color": [VERMILLION if n == chosen else OUTLINE for n in nodes],
                    },
                },
                selected={"marker": {"opacity": 1.0}},
                unselected={"marker": {"opacity": 1.0}},
                name=title,
                showlegend=kind not in ("input", "output"),
            )
        )
    height = int(min(620, 200 + 62 * (2 * reach + 1)))
    styled(figure, height, showlegend=True, dragmode="pan", hovermode="closest", clickmode="event+select")
    figure.update_layout(legend={"orientation": "h", "y": -0.02, "yanchor": "top", "x": 0.0})
    figure.update_xaxes(visible=False, range=[-0.8, columns - 0.2])
    figure.update_yaxes(visible=False, range=[-reach - 1.5, reach + 1.5])
    return figure


def _look(op: OpRecord) -> tuple[str, str, str]:
    """Return legend title, colour and kind of a node."""
    if op.kind == "head":
        operation = _operation(op)
        return operation_title(operation), operation_color(operation), op.kind
    color = YELLOW if op.kind == "feed_forward" else GREY
    return TITLES.get(op.kind, op.kind), color, op.kind


def _operation(op: OpRecord) -> str:
    """Return ``family_parameter`` of a head, given its label ``family_hHIDDEN_parameter``."""
    parts = op.label.split("_")
    return f"{parts[0]}_{parts[2]}" if len(parts) >= 3 else op.label


def _short(op: OpRecord) -> str:
    if op.kind == "head":
        return _operation(op).replace("_", " ")
    if op.kind == "feed_forward":
        return op.label.removeprefix("ff_")
    return "" if op.kind in ("add_norm", "bottleneck") else op.kind


def _place(op: OpRecord) -> str:
    return f"layer {op.layer}" if op.layer >= 0 else "outside the layers"


def _bands(
    figure: go.Figure,
    ops: Sequence[OpRecord],
    positions: Sequence[tuple[float, float]],
    layers: Sequence[LayerRecord],
    reach: float,
) -> None:
    for layer in layers:
        columns = [x for op, (x, _) in zip(ops, positions, strict=True) if op.layer == layer.index]
        if not columns:
            continue
        figure.add_shape(
            type="rect",
            x0=min(columns) - 0.45,
            x1=max(columns) + 0.45,
            y0=-reach - 1.4,
            y1=reach + 1.4,
            line={"width": 1, "color": BOX},
            fillcolor="rgba(128,128,128,0.14)" if layer.index % 2 == 0 else "rgba(128,128,128,0.06)",
            layer="below",
        )
        text = f"layer {layer.index} · h{layer.hidden}" if len(layers) <= 6 else str(layer.index)
        middle = (min(columns) + max(columns)) / 2
        figure.add_annotation(x=middle, y=reach + 1.2, text=text, showarrow=False, font={"size": 12})


def _edges(
    figure: go.Figure,
    feeds: Sequence[tuple[int, int]],
    positions: Sequence[tuple[float, float]],
) -> None:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for source, target in feeds:
        (x0, y0), (x1, y1) = positions[source], positions[target]
        if x1 - x0 > 1:
            # Route a skip connection below the nodes in between.
            passed = max(abs(y) for x, y in positions if x0 < x < x1)
            steps = [step / ARC_POINTS for step in range(ARC_POINTS + 1)]
            xs += [x0 + (x1 - x0) * t for t in steps]
            ys += [y0 - (passed + 0.75) * (1 - (2 * t - 1) ** 4) for t in steps]
        else:
            xs += [x0, x1]
            ys += [y0, y1]
        xs.append(None)
        ys.append(None)
    line = {"color": "rgba(128,128,128,0.7)", "width": 1.5}
    figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip", showlegend=False))
