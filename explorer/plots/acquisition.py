"""The map of a space coloured by a policy's posterior, with its trials."""

from __future__ import annotations

from enum import StrEnum

import pandas as pd
import plotly.graph_objects as go

from explorer.plots.base import points_type
from explorer.plots.palette import VERMILLION
from explorer.plots.space_map import MapColor, space_map
from explorer.plots.titles import escaped

NUMBERED = 60
"""Trial numbers are drawn on the map up to this many trials; otherwise only the hover label shows them."""
SYMBOLS = {
    "complete": "circle-open",
    "running": "diamond-open",
    "waiting": "triangle-up-open",
    "stale": "square-open",
    "failed": "x",
}
"""Open symbols, so that the colour of the candidate shows inside."""


class PosteriorQuantity(StrEnum):
    """The quantity of the posterior that colours the map."""

    UCB = "ucb"
    MEAN = "mean"
    UNCERTAINTY = "uncertainty"


TITLES = {
    PosteriorQuantity.UCB: "upper confidence bound of {}",
    PosteriorQuantity.MEAN: "expected {}",
    PosteriorQuantity.UNCERTAINTY: "uncertainty of {} (standard deviation)",
}


def acquisition_map(
    points: pd.DataFrame,
    posterior: pd.DataFrame,
    trials: pd.DataFrame,
    objective: str,
    shown: PosteriorQuantity = PosteriorQuantity.UCB,
    axes: tuple[str, str] = ("coordinate 1", "coordinate 2"),
) -> go.Figure:
    """Draw the posterior of a policy's surrogate over the candidates, and the trials.

    Args:
        points: indexed by id, with ``x, y, label, operations, hiddens``.
        posterior: indexed by id, with ``mean, epistemic, ucb``; points without one are drawn small and grey.
        trials: ``number, id, state, value, origin``; those that are not among the points are left out.
        objective: name of the objective.
        shown: the quantity to draw; the uncertainty is the epistemic standard deviation.
        axes: titles of the axes.

    Returns:
        The map with one trace of trials per state on top, and the best trial as a star.
    """
    values = posterior["epistemic" if shown is PosteriorQuantity.UNCERTAINTY else shown.value]
    color = MapColor.numbers(escaped(TITLES[shown].format(objective)), values, ".4f")
    figure = space_map(points, color, pd.Index([]), axes)
    placed = trials[trials["id"].isin(points.index)]
    for state, rows in placed.groupby("state", sort=True):
        _trials(figure, points, rows, str(state), len(placed) <= NUMBERED)
    done = placed.dropna(subset=["value"])
    if len(done):
        best = done.loc[[done["value"].idxmax()]]
        at = points.loc[best["id"]]
        marker = {"symbol": "star", "size": 17, "color": VERMILLION, "line": {"width": 1, "color": "white"}}
        name = f"best: trial {int(best['number'].iloc[0])}"
        kind = points_type(len(points))
        figure.add_trace(kind(x=at["x"], y=at["y"], mode="markers", marker=marker, name=name, hoverinfo="skip"))
    figure.update_layout(showlegend=bool(len(placed)))
    return figure


def _trials(figure: go.Figure, points: pd.DataFrame, rows: pd.DataFrame, state: str, numbered: bool) -> None:
    at = points.loc[rows["id"]]
    values = [f"{value:.4f}" if value == value else state for value in rows["value"]]
    marker = {"symbol": SYMBOLS[state], "size": 11, "color": VERMILLION, "line": {"width": 2, "color": VERMILLION}}
    figure.add_trace(
        # The same kind as the map's points: SVG lies above WebGL.
        points_type(len(points))(
            x=at["x"].to_numpy(),
            y=at["y"].to_numpy(),
            mode="markers+text" if numbered else "markers",
            text=[str(number) for number in rows["number"]],
            textposition="top center",
            textfont={"size": 10},
            marker=marker,
            name=state,
            customdata=list(zip(rows["id"], rows["number"], values, rows["origin"], at["operations"], strict=True)),
            hovertemplate="<b>trial %{customdata[1]}</b>: %{customdata[2]}<br>%{customdata[3]}<br>%{customdata[4]}"
            "<extra></extra>",
        )
    )
