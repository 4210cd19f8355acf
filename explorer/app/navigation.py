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
"""Address of each page → title and icon, in the menu's order; the first one is where a visit begins."""


def _body(name: str) -> Callable[[], None]:
    """The page's function, imported only when the page is shown."""

    def render() -> None:
        import_module(f"explorer.app.pages.{name}").render()

    return render


def page(name: str) -> StreamlitPage:
    """The page with this address."""
    title, icon = PAGES[name]
    return st.Page(_body(name), title=title, icon=icon, url_path=name, default=name == next(iter(PAGES)))


def pages() -> list[StreamlitPage]:
    """All pages, in the menu's order."""
    return [page(name) for name in PAGES]


def architecture_address(id: str, space: str) -> str:
    """Address of an architecture's page, relative to the app."""
    return f"architecture?{urlencode({'id': id, 'space': space})}"


def link(name: str, id: str, space: str, label: str) -> None:
    """A link to the page called ``name``, showing this architecture, that keeps the visit's state."""
    st.page_link(page(name), label=label, icon=PAGES[name][1], query_params={"id": id, "space": space})


def compare_link(ids: Sequence[str], space: str, label: str) -> None:
    """A link to the Compare page with these architectures."""
    parameters = {"ids": ",".join(ids), "space": space}
    st.page_link(page("compare"), label=label, icon=PAGES["compare"][1], query_params=parameters)
