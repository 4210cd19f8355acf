"""Figures: pure functions from frames to plotly figures, for the app, the command line and the docs alike."""

from explorer.plots.acquisition import PosteriorQuantity, acquisition_map
from explorer.plots.comparison import DrawnGraph, dissimilarity_map, graphs_side_by_side
from explorer.plots.curves import best_so_far_curves
from explorer.plots.graph import architecture_graph
from explorer.plots.heterogeneity import heterogeneity_scatter, kind_frontiers, operation_shares, width_shares
from explorer.plots.importance import importance_bars, parallel_coordinates
from explorer.plots.pareto import pareto_plot
from explorer.plots.saving import save_figure
from explorer.plots.scores import forecast_strip, scores_side_by_side, scores_within_space
from explorer.plots.space_map import Highlight, MapColor, MapSize, space_map
from explorer.plots.timeline import trial_timeline

__all__ = [
    "DrawnGraph",
    "Highlight",
    "MapColor",
    "MapSize",
    "PosteriorQuantity",
    "acquisition_map",
    "architecture_graph",
    "best_so_far_curves",
    "dissimilarity_map",
    "forecast_strip",
    "graphs_side_by_side",
    "heterogeneity_scatter",
    "importance_bars",
    "kind_frontiers",
    "operation_shares",
    "parallel_coordinates",
    "pareto_plot",
    "save_figure",
    "scores_side_by_side",
    "scores_within_space",
    "space_map",
    "trial_timeline",
    "width_shares",
]
