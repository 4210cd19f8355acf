"""Figures of scores: of one architecture among those of its space, of several side by side, and predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from explorer.plots.base import styled
from explorer.plots.palette import BLUE, GREY, category_color
from explorer.plots.titles import escaped

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")


def scores_within_space(spread: pd.DataFrame, others: pd.DataFrame) -> go.Figure:
    """Draw an architecture's mean and standard deviation of each score kind, among the scores of its space.

    Args:
        spread: ``title, mean, deviation, runs, rank, scored``.
        others: mean scores of the architectures of the space (``title, score``), drawn as small grey lines.
    """
    names = [escaped(str(name)) for name in spread["title"]]
    figure = go.Figure()
    shown = others[others["title"].isin(spread["title"])]
    figure.add_trace(
        go.Scatter(
            x=shown["score"].to_numpy(),
            y=[escaped(str(name)) for name in shown["title"]],
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


def scores_side_by_side(scores: pd.DataFrame, titles: Sequence[tuple[str, str]]) -> go.Figure:
    """Draw the scores of several architectures in one row per task, with error bars for repeated trainings.

    Args:
        scores: ``id, title, mean, deviation, runs``; ``title`` is that of the score kind.
        titles: id and unique name of each architecture, in the order of the legend.
    """
    figure = go.Figure()
    kinds = list(dict.fromkeys(scores["title"]))
    for position, (id, title) in enumerate(titles):
        own = scores[scores["id"] == id]
        # Shift the architectures within a row, so that points and error bars do not overlap.
        shift = 0.5 * ((len(titles) - 1) / 2 - position) / max(1, len(titles) - 1)
        deviations = own["deviation"].to_numpy(dtype=float, na_value=np.nan)
        figure.add_trace(
            go.Scatter(
                x=own["mean"],
                y=[kinds.index(name) + shift for name in own["title"]],
                error_x={"type": "data", "array": np.nan_to_num(deviations), "thickness": 1.5, "width": 4},
                mode="markers",
                name=escaped(title),
                marker={"color": category_color(position), "symbol": SYMBOLS[position % len(SYMBOLS)], "size": 10},
                customdata=[
                    [escaped(str(name)), count, "" if np.isnan(deviation) else f" ± {deviation:.4f}"]
                    for name, count, deviation in zip(own["title"], own["runs"], deviations, strict=True)
                ],
                hovertemplate="%{customdata[0]}: %{x:.4f}%{customdata[2]}<br>%{customdata[1]} trained<extra>"
                + escaped(title)
                + "</extra>",
            )
        )
    styled(figure, 110 + 46 * max(1, len(kinds)), showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    figure.update_xaxes(title_text="score", tickformat=".3f")
    figure.update_yaxes(
        tickvals=list(range(len(kinds))),
        ticktext=[escaped(str(name)) for name in kinds],
        range=[len(kinds) - 0.5, -0.5],
    )
    return figure


def forecast_strip(known: Sequence[float], mean: float, deviation: float, title: str) -> go.Figure:
    """Draw a predicted score with one and two standard deviations above the known scores of the space.

    Args:
        known: comparable scores of the space.
        mean: the predicted score.
        deviation: standard deviation of the prediction.
        title: of the score kind, for the axis.
    """
    figure = go.Figure()
    marker = {"symbol": "line-ns-open", "size": 22, "color": GREY, "opacity": 0.6}
    figure.add_trace(
        go.Scatter(
            x=list(known),
            y=[0.0] * len(known),
            mode="markers",
            marker=marker,
            name=f"{len(known):,} known scores",
            hovertemplate="known: %{x:.4f}<extra></extra>",
        )
    )
    for times, width in ((2, 2), (1, 6)):
        figure.add_trace(
            go.Scatter(
                x=[mean - times * deviation, mean + times * deviation],
                y=[1.0, 1.0],
                mode="lines",
                line={"color": category_color(0), "width": width},
                name="± 1 standard deviation" if times == 1 else "± 2 standard deviations",
                hovertemplate="%{x:.4f}<extra></extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[mean],
            y=[1.0],
            mode="markers",
            marker={"symbol": "diamond", "size": 14, "color": category_color(1)},
            name="predicted",
            hovertemplate="predicted: %{x:.4f}<extra></extra>",
        )
    )
    styled(figure, 190, showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    figure.update_yaxes(tickvals=[0, 1], ticktext=["known", "predicted"], range=[-0.6, 1.6])
    figure.update_xaxes(title_text=escaped(title), tickformat=".3f")
    return figure
