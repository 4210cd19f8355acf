"""The map of a space: one point per architecture."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.plots.base import points_type, range_of_equal, short_numbers, styled
from explorer.plots.palette import BLUE, GREY, VALUES, VERMILLION, category_color

HEIGHT = 600
MARGINS = {"l": 65, "r": 100, "t": 30, "b": 50, "autoexpand": False}
"""Margins of a map with a colour bar, in pixels."""
OUTLINE = "rgba(128,128,128,0.9)"
"""Outline of points, so that both ends of the colour scale are visible on light and dark pages."""
SMALL_SPACE = 1500
"""Points are larger up to this many architectures."""
SIZES = (3.0, 17.0)
"""Diameters in pixels for the smallest and the largest value of ``MapSize``."""
CLOSE = 0.15
"""Half the window around one architecture, as a share of the map's longer side."""


@dataclass(frozen=True)
class MapColor:
    """Colour of the points.

    Attributes:
        title: title of the colour bar or the legend.
        values: one value per architecture, indexed by id; points without one are drawn small and grey.
        palette: colours of categories, in the order of the legend; empty for numbers.
        titles: names of categories in the legend; by default the category itself.
        shown: format of a number in the hover label, valid in d3 and Python, such as ``,.0f``.
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
        """Colour by a category; without a palette, colours are assigned to the sorted categories."""
        found = sorted(values.dropna().unique().tolist())
        chosen = palette or {}
        full = {value: chosen.get(value, category_color(position)) for position, value in enumerate(found)}
        return cls(title, values, full, titles or {})

    def positions(self, values: pd.Series) -> NDArray[np.float64]:
        """Return the position of each value on the colour scale: the number itself, or the index of the category."""
        if self.palette:
            order = {value: float(position) for position, value in enumerate(self.palette)}
            return np.array([order[value] for value in values], dtype=np.float64)
        return values.to_numpy(dtype=np.float64)

    def text(self, value: object) -> str:
        """Return the text of a value in the hover label."""
        if value is None or value != value:
            return f"{self.title}: not known"
        if self.palette:
            return f"{self.title}: {self._title(value)}"
        return f"{self.title}: {float(str(value)):{self.shown}}"

    def _title(self, category: object) -> str:
        return next((title for known, title in self.titles.items() if known == category), str(category))


@dataclass(frozen=True)
class MapSize:
    """Size of the points.

    Attributes:
        title: title of the quantity.
        values: one value per architecture, indexed by id; points without one have the smallest size.
        shown: format of a number in the hover label, valid in d3 and Python.
    """

    title: str
    values: pd.Series
    shown: str = ".3g"

    def diameters(self, ids: pd.Index, among: pd.Index) -> NDArray[np.float64]:
        """Return diameters ``[N]`` in pixels; areas are linear between the extremes of the values of ``among``."""
        known = self.values.reindex(among).dropna().astype(float)
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        found = self.values.reindex(ids).to_numpy(dtype=np.float64)
        share = np.nan_to_num((found - low) / (high - low)) if high > low else np.full(len(ids), 0.5)
        return np.asarray(SIZES[0] + (SIZES[1] - SIZES[0]) * np.sqrt(share.clip(0.0, 1.0)), dtype=np.float64)

    def text(self, id: object) -> str:
        """Return the text of an architecture's value in the hover label."""
        value = float(self.values.get(id, float("nan")))
        return f"{self.title}: {value:{self.shown}}" if value == value else f"{self.title}: not known"


@dataclass(frozen=True)
class Highlight:
    """Highlighted architectures and areas of the map.

    Attributes:
        ring: id of the architecture to mark with a ring.
        found: ids of architectures to mark with diamonds.
        center: id of the architecture to zoom in on; by default the whole map is shown.
        areas: selected areas: polygons, or boxes given by two opposite corners.
    """

    ring: str | None = None
    found: tuple[str, ...] = ()
    center: str | None = None
    areas: Sequence[Sequence[tuple[float, float]]] = ()


def space_map(
    points: pd.DataFrame,
    color: MapColor,
    scored: pd.Index,
    axes: tuple[str, str] = ("coordinate 1", "coordinate 2"),
    size: MapSize | None = None,
    highlight: Highlight | None = None,
) -> go.Figure:
    """Draw the map.

    Args:
        points: indexed by id, with ``x, y, label, operations, hiddens``.
        color: colour of the points.
        scored: ids drawn on top, and larger if they are the minority.
        axes: titles of the axes.
        size: size of the points; by default scored ones are larger.
        highlight: highlighted architectures and areas.

    Returns:
        A figure whose points have their id as ``customdata``.
    """
    figure, highlight = go.Figure(), highlight or Highlight()
    usual = 5.0 if len(points) > SMALL_SPACE else 8.0
    values = color.values.reindex(points.index)
    known = values.notna().to_numpy()
    is_scored = points.index.isin(scored)

    def sizes(ids: pd.Index, factor: float) -> Any:
        return usual * factor if size is None else short_numbers(size.diameters(ids, points.index))

    unknown = _shuffled(points[~known])
    grey = {"color": GREY, "opacity": 0.35, "size": sizes(unknown.index, 0.8)}
    kind = points_type(len(points))
    texts = _texts(unknown, None, values, size)
    _points(figure, kind, unknown, texts, "not known", grey, f"<br>{color.text(None)}")
    scale = _legend(figure, color) if color.palette else _color_bar(color, values[known])
    for name, rows, opacity, factor in (
        ("known", known & ~is_scored, 0.7, 1.0),
        ("scored", known & is_scored, 0.95, 1.9 if is_scored.mean() < 0.5 else 1.0),
    ):
        shown = _shuffled(points[rows])
        colors = color.positions(values[shown.index])
        marker = scale | {"color": short_numbers(colors), "opacity": opacity, "size": sizes(shown.index, factor)}
        # A larger point covers centres of others, so few scored ones are SVG even above many others.
        kind = points_type(len(shown) if name == "scored" else len(points))
        _points(figure, kind, shown, _texts(shown, color, values, size), name, marker)
    _highlight(figure, points, highlight)
    # Keep the user's zoom as long as axes and center stay the same.
    kept = f"{axes[0]} {highlight.center or ''}"
    styled(figure, HEIGHT, uirevision=kept, dragmode="pan", clickmode="event+select")
    if color.palette:
        legend = {"title": {"text": ""}, "orientation": "h", "y": -0.12, "yanchor": "top", "x": 0.0}
        figure.update_layout(showlegend=True, legend=legend)
    else:
        # Without a legend the margins are known; computing them automatically would draw everything twice.
        figure.update_layout(showlegend=False, margin=MARGINS, xaxis_automargin=False, yaxis_automargin=False)
    figure.update_xaxes(title_text=axes[0], constrain="domain")
    # Equal scales on both axes, because distances on the map show dissimilarities.
    figure.update_yaxes(title_text=axes[1], scaleanchor="x", scaleratio=1, constrain="domain")
    _look_at(figure, points, highlight.center)
    return figure


def _highlight(figure: go.Figure, points: pd.DataFrame, highlight: Highlight) -> None:
    """Draw the rings and diamonds and the selected areas."""
    found = [id for id in highlight.found if id in points.index]
    looks: list[tuple[list[str], str, dict[str, Any]]] = [
        (found, "found", {"symbol": "diamond-open", "size": 18, "color": BLUE, "line": {"width": 3}}),
        (
            [highlight.ring] if highlight.ring in points.index and highlight.ring is not None else [],
            "selected",
            {"symbol": "circle-open", "size": 20, "color": VERMILLION, "line": {"width": 3}},
        ),
    ]
    for ids, name, marker in looks:
        if ids:
            at = points.loc[ids]
            figure.add_trace(
                go.Scatter(
                    x=at["x"].to_numpy(),
                    y=at["y"].to_numpy(),
                    mode="markers",
                    marker=marker,
                    hoverinfo="skip",
                    showlegend=False,
                    name=name,
                )
            )
    for area in highlight.areas:
        if len(area) == 2:
            (x0, y0), (x1, y1) = area
            figure.add_selection(type="rect", x0=x0, y0=y0, x1=x1, y1=y1, xref="x", yref="y")
        else:
            path = "M" + "L".join(f"{x:g},{y:g}" for x, y in area) + "Z"
            figure.add_selection(type="path", path=path, xref="x", yref="y")


def _look_at(figure: go.Figure, points: pd.DataFrame, center: str | None) -> None:
    if center is None or center not in points.index:
        return
    at = points.loc[center]
    half = CLOSE * max(float(points["x"].max() - points["x"].min()), float(points["y"].max() - points["y"].min()), 1e-6)
    figure.update_xaxes(range=[at["x"] - half, at["x"] + half])
    figure.update_yaxes(range=[at["y"] - half, at["y"] + half])


def _texts(rows: pd.DataFrame, color: MapColor | None, values: pd.Series, size: MapSize | None) -> list[str]:
    """Return the second line of each hover label: widths, and the values behind colour and size."""
    texts = [f"hidden {_plain(hiddens)}" for hiddens in rows["hiddens"]]
    if color is not None:
        known = (color.text(value) for value in values.reindex(rows.index))
        texts = [f"{text}; {value}" for text, value in zip(texts, known, strict=True)]
    if size is not None and (color is None or size.title != color.title):
        texts = [f"{text}; {size.text(id)}" for text, id in zip(texts, rows.index, strict=True)]
    return texts


def _plain(chain: str) -> str:
    """Replace the arrows in a chain of layers: JSON escapes each of them to six characters."""
    return chain.replace(" → ", ", ")


def _shuffled(points: pd.DataFrame) -> pd.DataFrame:
    """Shuffle the points deterministically, so that no category covers the others."""
    return points.iloc[np.random.default_rng(0).permutation(len(points))]


def _legend(figure: go.Figure, color: MapColor) -> dict[str, Any]:
    """Add the categories to the legend and return a colour scale with one constant colour per category."""
    shades = list(color.palette.values())
    for value, shade in color.palette.items():
        name = color.titles.get(value, str(value))
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=name, marker={"color": shade, "size": 10}))
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
    kind: type[go.Scatter] | type[go.Scattergl],
    rows: pd.DataFrame,
    texts: list[str],
    name: str,
    marker: dict[str, Any],
    common: str = "",
) -> None:
    if rows.empty:
        return
    # Keep texts short and arrays flat: Streamlit searches a figure's JSON forty times for theme colours.
    labels = [f"{label}: {_plain(ops)}" for label, ops in zip(rows["label"], rows["operations"], strict=True)]
    figure.add_trace(
        kind(
            x=short_numbers(rows["x"]),
            y=short_numbers(rows["y"]),
            mode="markers",
            name=name,
            customdata=rows.index.to_numpy(dtype=object),
            hovertext=labels,
            text=texts,
            hovertemplate=f"%{{hovertext}}<br>%{{text}}{common}<extra></extra>",
            marker={"line": {"width": 1 if name == "scored" else 0, "color": OUTLINE}} | marker,
            showlegend=False,
            selected={"marker": {"color": VERMILLION, "size": 9, "opacity": 1.0}},
            unselected={"marker": {"opacity": marker["opacity"]}},
        )
    )
