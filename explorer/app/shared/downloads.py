"""Tables and figures with buttons that download them: CSV, a page that needs nothing else, or a picture.

What is downloaded is made when a visitor asks for it, not whenever a page is drawn.
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
    "A picture is drawn by an installed Chromium or Chrome and kaleido, and the machine of this app lacks one of them. "
    "Download HTML instead: open it in a browser, and its camera button saves a picture."
)
LINKS = "link"
"""Column of a table that only opens pages; it is not downloaded."""


def table(frame: pd.DataFrame, name: str, key: str, whole: pd.DataFrame | None = None, **looks: Any) -> Any:
    """Show a table and, under it, a button that downloads it as CSV.

    Args:
        frame: the rows to show.
        name: of the file, without ending.
        key: of the table, unlike all others of the page; the button's is ``{key}_csv``.
        whole: what to download if not the shown rows without their column of links.
        **looks: the rest of ``st.dataframe``.

    Returns:
        What ``st.dataframe`` returns, which with ``on_select`` is the selection.
    """
    drawn = st.dataframe(frame, key=key, **looks)
    csv_button(frame if whole is None else whole, name, f"{key}_csv")
    return drawn


def csv_button(frame: pd.DataFrame, name: str, key: str) -> None:
    """A button that downloads a table as CSV; arguments as for ``table``."""
    _button("CSV", partial(csv_bytes, frame), f"{file_name(name)}.csv", "text/csv", key, "Download the table as CSV")


def text_button(text: str, name: str, key: str) -> None:
    """A button that downloads a text; arguments as for ``table``."""
    _button("Text", text.encode(), f"{file_name(name)}.txt", "text/plain", key, "Download the text")


def figure(drawn: go.Figure, name: str, key: str, **looks: Any) -> Any:
    """Show a figure and, under it, buttons that download it as a page or as a picture.

    Args:
        drawn: the figure.
        name: of the files, without ending.
        key: of the figure, unlike all others of the page; the buttons' are ``{key}_html`` and ``{key}_png``.
        **looks: the rest of ``st.plotly_chart``; give ``alt``.

    Returns:
        What ``st.plotly_chart`` returns, which with ``on_select`` is the selection.
    """
    chart = st.plotly_chart(drawn, key=key, **looks)
    with st.container(horizontal=True, gap="small"):
        figure_buttons(drawn, name, key)
    return chart


def figure_buttons(drawn: go.Figure, name: str, key: str) -> None:
    """The buttons of ``figure``, for a figure that is shown in another way."""
    file = file_name(name)
    make_page = partial(figure_bytes, drawn, PAGE)
    _button("HTML", make_page, f"{file}{PAGE}", "text/html", f"{key}_html", "Download the figure as a page")
    if _pictures():
        make_picture = partial(_picture, drawn)
        _button("PNG", make_picture, f"{file}{PICTURE}", "image/png", f"{key}_png", "Download the figure as a picture")
    else:
        _button("PNG", b"", f"{file}{PICTURE}", "image/png", f"{key}_png", NO_PICTURES, disabled=True)


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """A table as CSV, without its column of links; an index counts as a column if it has a name.

    A text that a spreadsheet would take for a formula gets a quotation mark before it.
    """
    found = frame.reset_index() if frame.index.name else frame
    found = found.drop(columns=LINKS, errors="ignore")
    texts = found.select_dtypes(["object", "string", "category"]).columns
    found = found.assign(**{str(column): found[column].map(escape_formula) for column in texts}).rename(
        columns=escape_formula
    )
    return found.to_csv(index=False, lineterminator="\r\n").encode()


def file_name(text: str) -> str:
    """A name that every system takes for a file: letters, digits, dots and hyphens, at most 80."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80] or "download"


@st.cache_data(show_spinner=False, ttl="10m")
def _pictures() -> bool:
    return can_draw_pictures()


@st.cache_resource(show_spinner=False)
def _one_browser() -> threading.Lock:
    """One picture at a time for all visitors, because each starts a browser."""
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
