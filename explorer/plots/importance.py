"""Design choices against scores: parallel coordinates, and the importance of each choice."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.plots.base import range_of_equal, styled
from explorer.plots.palette import BLUE, GREY, VALUES
from explorer.plots.titles import choice_title, escaped

HEIGHT = 440
ROW = 26
"""Height of a bar, in pixels."""
SPREAD = 0.3
"""Largest offset of a line from its tick. Lines of one choice are offset by the rank of their score."""


def parallel_coordinates(
    choices: Sequence[tuple[str, NDArray[np.int64], Sequence[Hashable]]], scores: pd.Series, objective: str
) -> go.Figure:
    """Draw one line per architecture through its choices to its score.

    Args:
        choices: for each axis its title, the position of each architecture's choice ``[N]`` and the choices by
            position.
        scores: one per architecture ``[N]``, finite.
        objective: name of the score.

    Returns:
        A figure in which users can select a range on each axis. Lines of the same choice are ordered by score.
    """
    values = scores.to_numpy(dtype=np.float64)
    ranks = scores.rank(method="first").to_numpy() - 1.0
    apart = SPREAD * (2.0 * ranks / max(1, len(values) - 1) - 1.0) if len(values) > 1 else np.zeros(len(values))
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    low, high = range_of_equal(values) or (low, high)
    dimensions = [
        {
            "label": _wrapped(title),
            "values": positions + apart,
            "tickvals": list(range(len(found))),
            "ticktext": [escaped(choice_title(value)) for value in found],
            "range": [-0.5, len(found) - 0.5],
        }
        for title, positions, found in choices
    ]
    dimensions.append({"label": escaped(objective), "values": values, "range": [low, high], "tickformat": ".4f"})
    line = {"color": values, "colorscale": VALUES, "cmin": low, "cmax": high, "showscale": False}
    unseen = {"size": 1, "color": "rgba(0,0,0,0)"}  # Hide the range labels, because the ticks show the same.
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line, labelside="top", rangefont=unseen))
    styled(figure, HEIGHT)
    figure.update_layout(margin={"l": 60, "r": 60, "t": 90, "b": 20})
    return figure


def _wrapped(title: str) -> str:
    """Break a title such as ``layer 0 stack depth`` into two lines."""
    words = escaped(title).split(" ")
    return " ".join(words[:2]) + ("<br>" + " ".join(words[2:]) if len(words) > 2 else "")


def importance_bars(importance: pd.DataFrame, objective: str, most: int = 20) -> go.Figure:
    """Draw how much the score depends on each choice.

    Args:
        importance: ``choice, importance, low, high``, the most important first.
        objective: name of the score.
        most: number of choices to draw.

    Returns:
        A figure of bars with error bars; bars whose error bar contains 0 are grey.
    """
    shown = importance.head(most)
    sure = shown["low"] > 0
    figure = go.Figure(
        go.Bar(
            x=shown["importance"],
            y=shown["choice"],
            orientation="h",
            marker={"color": np.where(sure, BLUE, GREY), "line": {"width": 0}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (shown["high"] - shown["importance"]).to_numpy(),
                "arrayminus": (shown["importance"] - shown["low"]).to_numpy(),
                "thickness": 1.5,
            },
            customdata=shown[["low", "high"]].to_numpy(),
            hovertemplate="%{y}: %{x:.1%} (%{customdata[0]:.1%} to %{customdata[1]:.1%})<extra></extra>",
        )
    )
    styled(figure, 90 + ROW * len(shown), showlegend=False, bargap=0.3)
    figure.update_yaxes(autorange="reversed", automargin=True, title_text="")
    figure.update_xaxes(
        title_text=f"increase of the held-out error (share of the variance of {escaped(objective)})", tickformat=".0%"
    )
    return figure
