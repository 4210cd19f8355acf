"""The similarity graph: architectures as nodes, neighbours joined by edges."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import plotly.graph_objects as go

from explorer.plots.base import range_of_equal, styled
from explorer.plots.palette import GREY, VALUES, VERMILLION
from explorer.plots.titles import escaped

HEIGHT = 460
LABELLED = 40
"""Nodes are labelled up to this many nodes."""


def similarity_figure(
    nodes: pd.DataFrame, edges: pd.DataFrame, expanded: Collection[str], center: str, score: str | None = None
) -> go.Figure:
    """Draw part of a similarity graph.

    Args:
        nodes: indexed by id, with ``x, y, label, operations, hiddens, score``; scores may be missing.
        edges: ``source, target, dissimilarity``; more similar ones are thicker.
        expanded: ids of the nodes whose neighbours are all drawn; these nodes are squares.
        center: id of the node to highlight with a ring.
        score: title of the score that colours the nodes; ``None`` draws them grey.

    Returns:
        A figure whose nodes have their id as the first entry of ``customdata``.
    """
    figure = go.Figure()
    _edges(figure, nodes, edges)
    known = nodes["score"].notna() if score is not None else pd.Series(False, nodes.index)
    values = nodes.loc[known, "score"].astype(float)
    low, high = range_of_equal(values) or ((values.min(), values.max()) if len(values) else (0.0, 1.0))
    bar = {"title": {"text": escaped(score or ""), "side": "right"}, "thickness": 14}
    scale = {"colorscale": VALUES, "cmin": low, "cmax": high, "colorbar": bar, "showscale": bool(known.any())}
    for rows, name, looks in (
        (nodes[~known], "without a score", {"color": GREY}),
        (nodes[known], "scored", scale | {"color": values.to_numpy()}),
    ):
        if rows.empty:
            continue
        symbols = ["square" if id in expanded else "circle" for id in rows.index]
        widths = [3 if id == center else 1 for id in rows.index]
        colors = [VERMILLION if id == center else "rgba(128,128,128,0.9)" for id in rows.index]
        scores = [f"{score}: {value:.4f}" if value == value else "no score" for value in rows["score"]]
        columns = (rows.index, rows["label"], rows["operations"], rows["hiddens"], scores)
        figure.add_trace(
            go.Scatter(
                x=rows["x"].to_numpy(),
                y=rows["y"].to_numpy(),
                mode="markers+text" if len(nodes) <= LABELLED else "markers",
                text=rows["label"],
                textposition="top center",
                textfont={"size": 11},
                cliponaxis=False,
                customdata=list(zip(*columns, strict=True)),
                hovertemplate="<b>%{customdata[1]}</b><br>%{customdata[2]}<br>hidden %{customdata[3]}<br>"
                "%{customdata[4]}<extra></extra>",
                marker=looks | {"size": 16, "symbol": symbols, "line": {"width": widths, "color": colors}},
                selected={"marker": {"opacity": 1.0}},
                unselected={"marker": {"opacity": 1.0}},
                name=name,
                showlegend=False,
            )
        )
    styled(figure, HEIGHT, dragmode="pan", hovermode="closest", clickmode="event+select")
    figure.update_xaxes(visible=False)
    # Equal scales on both axes, because lengths show dissimilarities.
    figure.update_yaxes(visible=False, scaleanchor="x", scaleratio=1)
    return figure


def _edges(figure: go.Figure, nodes: pd.DataFrame, edges: pd.DataFrame) -> None:
    """Draw a line per edge, and an invisible point in its middle whose hover label shows the dissimilarity."""
    if edges.empty:
        return
    one, two = nodes.loc[edges["source"], ["x", "y"]].to_numpy(), nodes.loc[edges["target"], ["x", "y"]].to_numpy()
    near, far = float(edges["dissimilarity"].min()), float(edges["dissimilarity"].max())
    for (x0, y0), (x1, y1), value in zip(one, two, edges["dissimilarity"], strict=True):
        share = 0.0 if far <= near else (value - near) / (far - near)
        line = {"color": "rgba(128,128,128,0.6)", "width": 4.0 - 3.0 * share}
        figure.add_trace(
            go.Scatter(x=[x0, x1], y=[y0, y1], mode="lines", line=line, hoverinfo="skip", showlegend=False)
        )
    middle = (one + two) / 2
    figure.add_trace(
        go.Scatter(
            x=middle[:, 0],
            y=middle[:, 1],
            mode="markers",
            marker={"size": 9, "color": "rgba(128,128,128,0.01)"},
            text=[f"dissimilarity {value:.4f}" for value in edges["dissimilarity"]],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )
    )
