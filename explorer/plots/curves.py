"""Best value over evaluations, for several studies."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from explorer.plots.base import range_of_equal, styled, translucent
from explorer.plots.palette import DASHES, category_color
from explorer.plots.titles import escaped

HEIGHT = 380
FEW = 16
"""Every evaluation gets a tick up to this many evaluations."""


def best_so_far_curves(
    curves: pd.DataFrame,
    objective: str,
    emphasised: str | None = None,
    bands: pd.DataFrame | None = None,
    regret: bool = False,
) -> go.Figure:
    """Draw the best value found against the number of evaluated architectures.

    Args:
        curves: ``study, policy, done, evaluations, best``, and ``regret`` if that is drawn.
        objective: name of the objective, for the axis.
        emphasised: name of the study that always has a line of its own, a thicker one.
        bands: ``policy, evaluations, median, low, high, studies``; finished studies of these policies are drawn as
            a median and a band instead of one line each.
        regret: whether to draw the simple regret: the best value of the space minus the best one found.

    Returns:
        A figure of step lines; policies share a colour, studies of one policy differ in dashes.
    """
    figure = go.Figure()
    column = "regret" if regret else "best"
    for position, policy in enumerate(sorted(curves["policy"].unique())):
        color = category_color(position)
        chosen = curves[curves["policy"] == policy]
        band = bands[bands["policy"] == policy] if bands is not None else None
        if band is not None and len(band):
            _band(figure, str(policy), band, color)
            chosen = chosen[~chosen["done"] | (chosen["study"] == emphasised)]
        for number, (study, rows) in enumerate(chosen.groupby("study", sort=True)):
            line = {
                "shape": "hv",
                "color": color,
                "dash": DASHES[(number + (band is not None and len(band) > 0)) % len(DASHES)],
                "width": 4 if study == emphasised else 2,
            }
            figure.add_trace(
                go.Scatter(
                    x=rows["evaluations"],
                    y=rows[column],
                    mode="lines+markers",
                    line=line,
                    marker={"size": 5},
                    name=f"{policy}: {escaped(str(study))}",
                    hovertemplate="%{y:.4f} after %{x} architectures<extra>" + escaped(str(study)) + "</extra>",
                )
            )
    styled(figure, HEIGHT, showlegend=True, uirevision="curves")
    figure.update_layout(legend={"orientation": "h", "y": -0.25, "yanchor": "top", "x": 0.0})
    figure.update_xaxes(title_text="architectures evaluated", rangemode="tozero")
    if len(curves) and curves["evaluations"].max() <= FEW:
        figure.update_xaxes(dtick=1)
    title = f"simple regret of {objective}" if regret else f"best {objective} so far"
    figure.update_yaxes(title_text=escaped(title), tickformat=".3f", range=range_of_equal(curves[column]))
    return figure


def _band(figure: go.Figure, policy: str, band: pd.DataFrame, color: str) -> None:
    count = int(band["studies"].iloc[0])
    edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip"}
    shared = {"x": band["evaluations"], "legendgroup": policy}
    figure.add_trace(go.Scatter(y=band["high"], showlegend=False, **shared, **edge))
    figure.add_trace(
        go.Scatter(
            y=band["low"],
            fill="tonexty",
            fillcolor=translucent(color, 0.2),
            name=f"{policy}: 95 % interval",
            showlegend=False,
            **shared,
            **edge,
        )
    )
    figure.add_trace(
        go.Scatter(
            y=band["median"],
            mode="lines",
            line={"shape": "hv", "color": color, "width": 2.5},
            name=f"{policy}: median of {count} studies",
            customdata=band[["low", "high"]].to_numpy(),
            hovertemplate="%{y:.4f} (%{customdata[0]:.4f} to %{customdata[1]:.4f}) after %{x} architectures"
            f"<extra>{policy}, median of {count}</extra>",
            **shared,
        )
    )
