"""Tables and figures with download buttons: CSV, a self-contained HTML page, or a PNG.

Files are created on click, not on every rerun of the page.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from explorer.analysis.tables import escape_formula
from explorer.plots.saving import PAGE, can_draw_pictures, figure_bytes

PICTURE = ".png"
ICON = ":material/download:"
NO_PICTURES = (
    "PNG needs kaleido and an installed Chromium or Chrome, and the app's server lacks one of them. "
    "Download HTML instead and use the camera button of the figure."
)
LINKS = "link"
"""Column of links to pages, left out of downloads."""


def table(frame: pd.DataFrame, name: str, key: str, whole: pd.DataFrame | None = None, **kwargs: Any) -> Any:
    """Show a table and, under it, a button that downloads it as CSV.

    Args:
        frame: rows to show.
        name: file name without suffix.
        key: key of the table, unique on the page; the button's key is ``{key}_csv``.
        whole: frame to download; by default the shown rows without their column of links.
        **kwargs: further arguments of ``st.dataframe``.

    Returns:
        The return value of ``st.dataframe``, the selection with ``on_select``.
    """
    drawn = st.dataframe(frame, key=key, **kwargs)
    csv_button(frame if whole is None else whole, name, f"{key}_csv")
    return drawn


def csv_button(frame: pd.DataFrame, name: str, key: str) -> None:
    """Show a button that downloads a table as CSV; arguments as in ``table``."""
    _button("CSV", partial(csv_bytes, frame), f"{file_name(name)}.csv", "text/csv", key, "Download the table as CSV")


def text_button(text: str, name: str, key: str) -> None:
    """Show a button that downloads a text; arguments as in ``table``."""
    _button("Text", text.encode(), f"{file_name(name)}.txt", "text/plain", key, "Download the text")


def figure(drawn: go.Figure, name: str, key: str, **kwargs: Any) -> Any:
    """Show a figure and, under it, buttons that download it as HTML or PNG.

    Args:
        drawn: the figure.
        name: file name without suffix.
        key: key of the figure, unique on the page; the buttons' keys are ``{key}_html`` and ``{key}_png``.
        **kwargs: further arguments of ``st.plotly_chart``; ``alt`` should be given.

    Returns:
        The return value of ``st.plotly_chart``, the selection with ``on_select``.
    """
    chart = st.plotly_chart(drawn, key=key, **kwargs)
    with st.container(horizontal=True, gap="small"):
        figure_buttons(drawn, name, key)
    return chart


def figure_buttons(drawn: go.Figure, name: str, key: str) -> None:
    """Show the download buttons of ``figure`` for a figure that is displayed elsewhere."""
    file = file_name(name)
    make_page = partial(figure_bytes, drawn, PAGE)
    _button("HTML", make_page, f"{file}{PAGE}", "text/html", f"{key}_html", "Download the figure as HTML")
    if _pictures():
        make_picture = partial(_picture, drawn)
        _button("PNG", make_picture, f"{file}{PICTURE}", "image/png", f"{key}_png", "Download the figure as PNG")
    else:
        _button("PNG", b"", f"{file}{PICTURE}", "image/png", f"{key}_png", NO_PICTURES, disabled=True)


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV without its column of links; a named index becomes a column.

    Text that a spreadsheet would read as a formula is prefixed with a quotation mark.
    """
    found = frame.reset_index() if frame.index.name else frame
    found = found.drop(columns=LINKS, errors="ignore")
    texts = found.select_dtypes(["object", "string", "category"]).columns
    found = found.assign(**{str(column): found[column].map(escape_formula) for column in texts}).rename(
        columns=escape_formula
    )
    return found.to_csv(index=False, lineterminator="\r\n").encode()


def file_name(text: str) -> str:
    """Return a portable file name of at most 80 letters, digits, dots and hyphens."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80] or "download"


@st.cache_data(show_spinner=False, ttl="10m")
def _pictures() -> bool:
    return can_draw_pictures()


@st.cache_resource(show_spinner=False)
def _one_browser() -> threading.Lock:
    """Return the lock that renders one PNG at a time, because each rendering starts a browser."""
    return threading.Lock()


def _picture(drawn: go.Figure) -> bytes:
    with _one_browser():
        return figure_bytes(drawn, PICTURE)


def _button(
    label: str, data: Callable[[], bytes] | bytes, file: str, mime: str, key: str, help: str, disabled: bool = False
) -> None:
    st.download_button(
        label,
        data,
        file_name=file,
        mime=mime,
        key=key,
        help=help,
        icon=ICON,
        type="tertiary",
        on_click="ignore",
        disabled=disabled,
    )
