"""Figures of the app: pure functions from frames to plotly figures, usable without Streamlit."""

from explorer.app.plots.curves import best_so_far_curves
from explorer.app.plots.graph import architecture_graph
from explorer.app.plots.heterogeneity import heterogeneity_scatter, operation_shares, width_shares
from explorer.app.plots.space_map import MapColor, space_map

__all__ = [
    "MapColor",
    "architecture_graph",
    "best_so_far_curves",
    "heterogeneity_scatter",
    "operation_shares",
    "space_map",
    "width_shares",
]
