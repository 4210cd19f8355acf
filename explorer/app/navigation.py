"""The pages and the links between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from urllib.parse import urlencode

import streamlit as st
from streamlit.navigation.page import StreamlitPage

PAGES = {
    "space": ("Space", ":material/scatter_plot:"),
    "architecture": ("Architecture", ":material/account_tree:"),
    "compare": ("Compare", ":material/compare_arrows:"),
    "build": ("Build", ":material/construction:"),
    "query": ("Query", ":material/manage_search:"),
    "search": ("Search", ":material/travel_explore:"),
    "heterogeneity": ("Heterogeneity", ":material/stacked_bar_chart:"),
    "shapes": ("Shapes", ":material/align_justify_space_even:"),
    "pareto": ("Pareto", ":material/balance:"),
    "jobs": ("Jobs and store", ":material/database:"),
}
"""URL path of each page → title and icon, in the order of the menu. The first page is the start page."""

PURPOSES = {
    "space": "All architectures of a design space, close together where their graphs are similar.",
    "architecture": "One architecture: its graph, layers, scores, nearest neighbours, and files to download.",
    "compare": "Two to six architectures side by side: how their layers, graphs, sizes and scores differ.",
    "build": "Edit an architecture layer by layer, see its predicted score, and queue it for training.",
    "query": "Find architectures by their layers, sizes and scores.",
    "search": "Let a search policy propose architectures and follow their scores. Each search is a study.",
    "heterogeneity": "Does it help if layers differ? Operations and widths by depth, and their relation to scores.",
    "shapes": "SuperShaper's shapes: encoders that differ only in how wide each layer is.",
    "pareto": "Score against size, latency or energy: the Pareto front of non-dominated architectures.",
    "jobs": "Running and finished jobs of this store, and whether the store is consistent.",
}
"""Purpose of each page in one line."""


def _body(name: str) -> Callable[[], None]:
    """Return the page's render function; its module is imported when the page is first shown."""

    def render() -> None:
        import_module(f"explorer.app.{name}.page").render()

    return render


def page(name: str) -> StreamlitPage:
    """Return the page with this URL path."""
    title, icon = PAGES[name]
    return st.Page(_body(name), title=title, icon=icon, url_path=name, default=name == next(iter(PAGES)))


def pages() -> list[StreamlitPage]:
    """Return all pages in the order of the menu."""
    return [page(name) for name in PAGES]


def architecture_address(id: str, space: str) -> str:
    """Return the URL of an architecture's page, relative to the app."""
    return f"architecture?{urlencode({'id': id, 'space': space})}"


def link(name: str, id: str, space: str, label: str) -> None:
    """Show a link to page ``name`` for this architecture; following it keeps the session state."""
    st.page_link(page(name), label=label, icon=PAGES[name][1], query_params={"id": id, "space": space})


def compare_link(ids: Sequence[str], space: str, label: str) -> None:
    """Show a link to the Compare page with these architectures."""
    parameters = {"ids": ",".join(ids), "space": space}
    st.page_link(page("compare"), label=label, icon=PAGES["compare"][1], query_params=parameters)
