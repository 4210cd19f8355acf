"""Helpers that all figures share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import plotly.graph_objects as go

HAIRLINE = "rgba(128,128,128,0.25)"
"""Colour of grid and frame lines, visible on light and dark pages."""


MARGIN = 0.02
"""Half the axis range around equal values, relative to their size if that exceeds 1."""


MOST_SVG = 1000
"""Points are drawn as SVG up to this many: sharp, hit over their whole area, and quick on machines without a GPU."""


def points_type(count: int) -> type[go.Scatter] | type[go.Scattergl]:
    """Return the kind of trace that draws this many points: SVG for few, WebGL for many.

    WebGL handles ten thousand points, but they lie below those of SVG and select the one with the nearest centre.
    """
    return go.Scatter if count <= MOST_SVG else go.Scattergl


def range_of_equal(values: Iterable[float]) -> tuple[float, float] | None:
    """Return an axis range around values that are equal up to rounding; ``None`` if they differ or there are none."""
    found = [float(value) for value in values]
    if not found:
        return None
    low, high = min(found), max(found)
    scale = max(1.0, abs(low), abs(high))
    return (low - MARGIN * scale, high + MARGIN * scale) if high - low <= 1e-9 * scale else None


def styled(figure: go.Figure, height: int, **layout: object) -> go.Figure:
    """Apply the common style: transparent background, small margins, light grid."""
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


def short_numbers(values: Iterable[float]) -> list[float]:
    """Round numbers to five significant digits, finer than a screen; a list, because of :func:`with_revision`."""
    return [float(f"{value:.5g}") for value in values]


def with_revision(figure: go.Figure) -> go.Figure:
    """Set ``datarevision`` of a finished figure to a digest, so that Plotly recalculates it only if it changed.

    Streamlit passes each figure to Plotly twice, as copies. Without a ``datarevision`` Plotly treats all copied lists
    as changed; it always treats NumPy arrays as changed. Call this again after adding to the figure.
    """
    state = hashlib.blake2b(figure.to_json().encode(), digest_size=8).hexdigest()
    return figure.update_layout(datarevision=state)


def translucent(color: str, opacity: float) -> str:
    """Convert a colour ``#RRGGBB`` to ``rgba`` with an opacity from 0 to 1."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
