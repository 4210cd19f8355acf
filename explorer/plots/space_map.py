"""The map of a space: one point per architecture, WebGL so that ten thousand stay quick."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.plots.base import range_of_equal, styled
from explorer.plots.palette import GREY, VALUES, VERMILLION, category_color

HOVER = "<b>%{customdata[1]}</b><br>%{customdata[2]}<br>hidden %{customdata[3]}<br>%{customdata[4]}<extra></extra>"
HEIGHT = 600
OUTLINE = "rgba(128,128,128,0.9)"
"""Keeps the ends of the scale visible on a dark and on a light page."""
SMALL_SPACE = 1500
"""Up to this many architectures are drawn with larger points."""


@dataclass(frozen=True)
class MapColor:
    """What colours the points.

    Attributes:
        title: of the colour bar or the legend.
        values: one per architecture, indexed by id; missing ones are drawn small and grey below.
        palette: for categories: their colours, in the legend's order. Empty for numbers.
        titles: for categories: their names in the legend; a category without one is shown as it is.
        shown: how a number is written in the hover label, as a d3 or Python format such as ``,.0f``.
    """

    title: str
    values: pd.Series
    palette: dict[Hashable, str]
    titles: dict[Hashable, str]
    shown: str = ".3g"

    @classmethod
    def numbers(cls, title: str, values: pd.Series, shown: str = ".3g") -> MapColor:
        """Colour by a number."""
        return cls(title, values, {}, {}, shown)

    @classmethod
    def categories(
        cls,
        title: str,
        values: pd.Series,
        palette: dict[Hashable, str] | None = None,
        titles: dict[Hashable, str] | None = None,
    ) -> MapColor:
        """Colour by a category; without a palette the categories get colours in their sorted order."""
        found = sorted(values.dropna().unique().tolist())
        chosen = palette or {}
        full = {value: chosen.get(value, category_color(position)) for position, value in enumerate(found)}
        return cls(title, values, full, titles or {})

    def positions(self, values: pd.Series) -> NDArray[np.float64]:
        """Where each value lies on the scale: the number itself, or the position of the category."""
        if self.palette:
            order = {value: float(position) for position, value in enumerate(self.palette)}
            return np.array([order[value] for value in values], dtype=np.float64)
        return values.to_numpy(dtype=np.float64)

    def text(self, value: object) -> str:
        """The value as the hover label shows it."""
        if value is None or value != value:
            return f"{self.title}: not known"
        if self.palette:
            return f"{self.title}: {self.titles.get(str(value), value)}"
        return f"{self.title}: {float(str(value)):{self.shown}}"


def space_map(
    points: pd.DataFrame,
    color: MapColor,
    scored: pd.Index,
    axes: tuple[str, str] = ("coordinate 1", "coordinate 2"),
    ring: str | None = None,
) -> go.Figure:
    """Draw the map.

    Args:
        points: indexed by id, with ``x, y, label, operations, hiddens``.
        color: what colours the points.
        scored: ids drawn above the rest, and larger as long as they are the fewer.
        axes: titles of the axes.
        ring: id of an architecture to draw a ring around.

    Returns:
        A figure whose points carry their id as the first entry of ``customdata``.
    """
    figure = go.Figure()
    size = 5.0 if len(points) > SMALL_SPACE else 8.0
    values = color.values.reindex(points.index)
    known = values.notna().to_numpy()
    is_scored = points.index.isin(scored)
    _points(figure, points[~known], color, values, "not known", {"color": GREY, "opacity": 0.35, "size": size * 0.8})
    scale = _legend(figure, color) if color.palette else _color_bar(color, values[known])
    for name, rows, opacity, factor in (
        ("known", known & ~is_scored, 0.7, 1.0),
        ("scored", known & is_scored, 0.95, 1.9 if is_scored.mean() < 0.5 else 1.0),
    ):
        shown = _shuffled(points[rows])
        marker = scale | {"color": color.positions(values[shown.index]), "opacity": opacity, "size": size * factor}
        _points(figure, shown, color, values, name, marker)
    if ring is not None and ring in points.index:
        place = points.loc[ring]
        marker = {"symbol": "circle-open", "size": 20, "color": VERMILLION, "line": {"width": 3}}
        figure.add_trace(
            go.Scattergl(
                x=[place["x"]], y=[place["y"]], mode="markers", marker=marker, hoverinfo="skip", name="selected"
            )
        )
    styled(figure, HEIGHT, uirevision="map", dragmode="pan", clickmode="event+select")
    legend = {"title": {"text": ""}, "orientation": "h", "y": -0.12, "yanchor": "top", "x": 0.0}
    figure.update_layout(showlegend=bool(color.palette), legend=legend)
    figure.update_xaxes(title_text=axes[0], constrain="domain")
    # One unit is as long on both axes, or distances on the map would mislead.
    figure.update_yaxes(title_text=axes[1], scaleanchor="x", scaleratio=1, constrain="domain")
    return figure


def _shuffled(points: pd.DataFrame) -> pd.DataFrame:
    """The points in an order that favours no category where they overlap; always the same one."""
    return points.iloc[np.random.default_rng(0).permutation(len(points))]


def _legend(figure: go.Figure, color: MapColor) -> dict[str, Any]:
    """Name the categories in the legend; returns the markers' scale of one flat colour per category."""
    shades = list(color.palette.values())
    for value, shade in color.palette.items():
        name = color.titles.get(value, str(value))
        figure.add_trace(
            go.Scattergl(x=[None], y=[None], mode="markers", name=name, marker={"color": shade, "size": 10})
        )
    edges = [(position + end) / len(shades) for position in range(len(shades)) for end in (0, 1)]
    scale = [[edge, shades[position // 2]] for position, edge in enumerate(edges)]
    return {"colorscale": scale, "cmin": -0.5, "cmax": len(shades) - 0.5}


def _color_bar(color: MapColor, values: pd.Series) -> dict[str, Any]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    low, high = range_of_equal(values) or (low, high)
    bar = {"title": {"text": color.title, "side": "right"}, "thickness": 14}
    return {"colorscale": VALUES, "cmin": low, "cmax": high, "showscale": True, "colorbar": bar}


def _points(
    figure: go.Figure,
    rows: pd.DataFrame,
    color: MapColor,
    values: pd.Series,
    name: str,
    marker: dict[str, Any],
) -> None:
    if rows.empty:
        return
    texts = [color.text(value) for value in values.reindex(rows.index)]
    columns = (rows.index, rows["label"], rows["operations"], rows["hiddens"], texts)
    figure.add_trace(
        go.Scattergl(
            x=rows["x"].to_numpy(),
            y=rows["y"].to_numpy(),
            mode="markers",
            name=name,
            customdata=list(zip(*columns, strict=True)),
            hovertemplate=HOVER,
            marker={"line": {"width": 1 if name == "scored" else 0, "color": OUTLINE}} | marker,
            showlegend=False,
            selected={"marker": {"color": VERMILLION, "size": 16, "opacity": 1.0}},
            unselected={"marker": {"opacity": marker["opacity"]}},
        )
    )
