"""Scores of one architecture with error bars, among the scores of its space."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from explorer.plots.base import styled
from explorer.plots.palette import BLUE, GREY
from explorer.plots.titles import escaped


def score_bars(spread: pd.DataFrame, others: pd.DataFrame) -> go.Figure:
    """Draw mean and standard deviation for each score kind.

    Args:
        spread: ``series, mean, deviation, runs, rank, scored``.
        others: mean scores of the architectures of the space (``series, score``), drawn as small grey lines.
    """
    names = [escaped(str(name)) for name in spread["series"]]
    figure = go.Figure()
    shown = others[others["series"].isin(spread["series"])]
    figure.add_trace(
        go.Scatter(
            x=shown["score"].to_numpy(),
            y=[escaped(str(name)) for name in shown["series"]],
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 12, "color": GREY, "opacity": 0.5},
            name="other architectures of the space",
            hovertemplate="%{x:.4f}<extra></extra>",
        )
    )
    bars = spread["deviation"].fillna(0.0).to_numpy()
    spreads = [
        f"± {bar:.4f} over {runs} runs" if runs > 1 else "one run"
        for bar, runs in zip(bars, spread["runs"], strict=True)
    ]
    ranks = [f"{rank} of {scored}" for rank, scored in zip(spread["rank"], spread["scored"], strict=True)]
    figure.add_trace(
        go.Scatter(
            x=spread["mean"].to_numpy(),
            y=names,
            error_x={"type": "data", "array": bars, "visible": True, "thickness": 2, "width": 6},
            mode="markers",
            marker={"size": 12, "color": BLUE, "line": {"width": 1, "color": "white"}},
            name="this architecture, ± standard deviation over its runs",
            customdata=list(zip(spreads, ranks, strict=True)),
            hovertemplate="%{x:.4f} %{customdata[0]}<br>rank %{customdata[1]}<extra></extra>",
        )
    )
    styled(figure, 130 + 34 * len(names), showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=names)
    figure.update_xaxes(title_text="score")
    return figure
