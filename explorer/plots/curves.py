"""Curves of studies side by side."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from explorer.app.plots.base import range_of_equal, styled
from explorer.app.plots.palette import DASHES, category_color

HEIGHT = 380
FEW = 16
"""Up to this many evaluations every one gets a tick."""


def best_so_far_curves(curves: pd.DataFrame, objective: str, emphasised: str | None = None) -> go.Figure:
    """Best value found against the number of evaluated architectures, one line per study.

    Args:
        curves: ``study, policy, evaluations, best``.
        objective: what the value is, for the axis.
        emphasised: name of the study whose line is drawn thicker.

    Returns:
        A figure with one step line per study; policies share a colour, studies of one policy differ in dashes.
    """
    figure = go.Figure()
    policies = sorted(curves["policy"].unique())
    for position, policy in enumerate(policies):
        chosen = curves[curves["policy"] == policy]
        for number, (study, rows) in enumerate(chosen.groupby("study", sort=True)):
            line = {
                "shape": "hv",
                "color": category_color(position),
                "dash": DASHES[number % len(DASHES)],
                "width": 4 if study == emphasised else 2,
            }
            figure.add_trace(
                go.Scatter(
                    x=rows["evaluations"],
                    y=rows["best"],
                    mode="lines+markers",
                    line=line,
                    marker={"size": 5},
                    name=f"{policy}: {study}",
                    hovertemplate="%{y:.4f} after %{x} architectures<extra>" + str(study) + "</extra>",
                )
            )
    styled(figure, HEIGHT, showlegend=True, uirevision="curves")
    figure.update_layout(legend={"orientation": "h", "y": -0.25, "yanchor": "top", "x": 0.0})
    figure.update_xaxes(title_text="architectures evaluated", rangemode="tozero")
    if len(curves) and curves["evaluations"].max() <= FEW:
        figure.update_xaxes(dtick=1)
    figure.update_yaxes(title_text=f"best {objective} so far", tickformat=".3f", range=range_of_equal(curves["best"]))
    return figure
