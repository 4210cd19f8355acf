"""What all figures share."""

from __future__ import annotations

import plotly.graph_objects as go

HAIRLINE = "rgba(128,128,128,0.25)"
"""Grid and frame lines that show on a light and on a dark page."""


def styled(figure: go.Figure, height: int, **layout: object) -> go.Figure:
    """Give a figure the common look: transparent ground, tight margins, quiet grid."""
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"itemsizing": "constant"},
        **layout,
    )
    figure.update_xaxes(gridcolor=HAIRLINE, zeroline=False)
    figure.update_yaxes(gridcolor=HAIRLINE, zeroline=False)
    return figure
