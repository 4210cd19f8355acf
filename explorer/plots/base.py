"""What all figures share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import plotly.graph_objects as go

HAIRLINE = "rgba(128,128,128,0.25)"
"""Grid and frame lines that show on a light and on a dark page."""


MARGIN = 0.02
"""Half of the range around values that are all equal, and as a share of them where they are larger than 1."""


def range_of_equal(values: Iterable[float]) -> tuple[float, float] | None:
    """A readable range around values that are all equal, up to rounding; ``None`` where they differ or are none."""
    found = [float(value) for value in values]
    if not found:
        return None
    low, high = min(found), max(found)
    scale = max(1.0, abs(low), abs(high))
    return (low - MARGIN * scale, high + MARGIN * scale) if high - low <= 1e-9 * scale else None


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


def short_numbers(values: Iterable[float]) -> list[float]:
    """Numbers to five digits, which is finer than a screen; a list, because of :func:`with_revision`."""
    return [float(f"{value:.5g}") for value in values]


def with_revision(figure: go.Figure) -> go.Figure:
    """Name the state of a finished figure's lists, so that Plotly prepares them again only when another state comes.

    Streamlit hands Plotly each figure twice, as copies. Without a ``datarevision`` all copied lists count as changed,
    and NumPy arrays do with one, too. Whoever adds to the figure names its state anew.
    """
    state = hashlib.blake2b(figure.to_json().encode(), digest_size=8).hexdigest()
    return figure.update_layout(datarevision=state)


def translucent(color: str, opacity: float) -> str:
    """A colour ``#RRGGBB`` with an opacity from 0 to 1."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
