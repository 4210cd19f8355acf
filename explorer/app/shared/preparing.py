"""Let the browser load what draws figures while the server still makes the first page.

Plotly is five megabytes of script, which take a browser about a second to read. Streamlit sends for them when the first
figure arrives, and only then; so a visit begins with a figure of nothing that nobody sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pandas  # noqa: F401 - whole before Plotly looks for it: it takes one that another visit just loads as it is
import plotly.graph_objects as go
import streamlit as st

KEY = "figures_prepared"
PREPARED_STYLE = f".st-key-{KEY} {{position: absolute; visibility: hidden; height: 0; overflow: hidden}}"
"""Takes the unseen figure out of the page."""


@contextmanager
def figures_prepared() -> Iterator[None]:
    """Around the first page of a visit: an unseen figure before it, which is gone after it."""
    slot = st.container(key=KEY).empty()
    if KEY not in st.session_state:
        st.session_state[KEY] = True
        # A pie has no axes, so this is the least that can be drawn.
        slot.plotly_chart(go.Figure(go.Pie(), {"height": 10}), key=f"{KEY}_figure")
    try:
        yield
    finally:
        slot.empty()
