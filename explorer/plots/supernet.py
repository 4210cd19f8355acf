"""Perplexity of shapes inside a super-network against perplexity of the same shapes trained alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from explorer.plots.base import styled
from explorer.plots.palette import BLUE, GREY
from explorer.plots.titles import escaped


def inside_against_alone(shapes: pd.DataFrame) -> go.Figure:
    """Draw one point per shape.

    Args:
        shapes: ``shape`` (widths as text), ``parameters``, the perplexities ``inside`` and ``alone``, and ``low`` and
            ``high``, the smallest and largest perplexity alone over seeds.
    """
    alone = shapes["alone"].to_numpy()
    up, down = shapes["high"].to_numpy() - alone, alone - shapes["low"].to_numpy()
    several = bool(np.any(up + down > 0))
    figure = go.Figure(
        go.Scatter(
            x=shapes["inside"].to_numpy(),
            y=alone,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": up,
                "arrayminus": down,
                "visible": several,
                "color": GREY,
                "thickness": 1,
            },
            mode="markers",
            marker={
                "size": 11,
                "color": shapes["parameters"].to_numpy(),
                "colorscale": [[0.0, "#D6E4F5"], [1.0, BLUE]],
                "colorbar": {"title": {"text": "parameters"}},
                "line": {"width": 1, "color": "white"},
            },
            text=[escaped(str(shape)) for shape in shapes["shape"]],
            hovertemplate="%{text}<br>inside %{x:.1f}<br>alone %{y:.1f}<extra></extra>",
        )
    )
    styled(figure, 460)
    figure.update_xaxes(title_text="perplexity inside the super-network")
    figure.update_yaxes(title_text="perplexity trained alone" + (" (range over seeds)" if several else ""))
    return figure
