"""Names of operations, and colours that people with any colour vision can tell apart (Okabe and Ito 2008)."""

from __future__ import annotations

import plotly.colors

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE, YELLOW = "#E69F00", "#D55E00", "#CC79A7", "#F0E442"
GREY = "#8A8F98"
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW)
VALUES = "Viridis"
"""Perceptually even, and readable on a light and on a dark ground."""

OPERATIONS = {
    "sa_sdp": BLUE,
    "sa_wma": SKY,
    "l_dft": VERMILLION,
    "l_dct": ORANGE,
    "c_5": GREEN,
    "c_9": PURPLE,
    "c_13": YELLOW,
}
OPERATION_TITLES = {
    "sa_sdp": "attention (dot product)",
    "sa_wma": "attention (weighted multiplicative)",
    "l_dft": "linear (Fourier)",
    "l_dct": "linear (cosine)",
}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def operation_color(operation: str) -> str:
    """Colour of ``family_parameter``; grey for operations without one of their own."""
    return OPERATIONS.get(operation, GREY)


def category_color(position: int) -> str:
    """Colour of the category at this position; colours come again after the seventh."""
    return CATEGORIES[position % len(CATEGORIES)]


def shades(count: int) -> list[str]:
    """``count`` colours from dark to light for ordered categories, such as hidden sizes."""
    if count == 1:
        return [BLUE]
    # The ends of the scale are too close to a dark and to a light page.
    points = [0.12 + 0.78 * step / (count - 1) for step in range(count)]
    return list(plotly.colors.sample_colorscale(VALUES, points))


def operation_title(operation: str) -> str:
    """Name of an operation for people; ``operation`` is ``family_parameter``."""
    if operation in OPERATION_TITLES:
        return OPERATION_TITLES[operation]
    family, _, parameter = operation.partition("_")
    return f"convolution (kernel {parameter})" if family == "c" else operation.replace("_", " ")
