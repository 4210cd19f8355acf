"""Colours that people with any colour vision can tell apart (Okabe and Ito 2008).

Those of operations are in ``explorer.space.operations``.
"""

from __future__ import annotations

import plotly.colors

from explorer.space import operations

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE, YELLOW = "#E69F00", "#D55E00", "#CC79A7", "#F0E442"
GREY = operations.GREY
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW)
VALUES = "Viridis"
"""Perceptually uniform, and readable on a light and on a dark background."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def category_color(position: int) -> str:
    """Return the colour of the category at this position; colours repeat after the seventh."""
    return CATEGORIES[position % len(CATEGORIES)]


def shades(count: int) -> list[str]:
    """Return ``count`` colours from dark to light for ordered categories, such as hidden sizes."""
    if count == 1:
        return [BLUE]
    # Leave out the ends of the scale: they are too close to dark and light backgrounds.
    points = [0.12 + 0.78 * step / (count - 1) for step in range(count)]
    return list(plotly.colors.sample_colorscale(VALUES, points))
