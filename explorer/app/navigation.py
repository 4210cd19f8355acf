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

PURPOSES = {
    "space": "All architectures of a design space: near each other where their graphs are alike. Click one to meet it.",
    "architecture": "One architecture, from its graph to its scores; what is like it; its files to take away.",
    "compare": "Two to six architectures beside each other: what differs in layers, graphs, sizes and scores.",
    "build": "Draft an architecture layer by layer, see what to expect of it, and queue it for training.",
    "query": "Find architectures by their layers, sizes and scores.",
    "search": "Let a policy choose what to try next, and watch what it finds. Each such search is a study.",
    "heterogeneity": "Is it good if layers differ? Operations and widths by depth, and what scores say.",
    "shapes": "SuperShaper's shapes: encoders that differ only in how wide each layer is.",
    "pareto": "What a better score costs in size, latency or energy. The Pareto set: what nothing beats in both.",
    "jobs": "What runs and has run in this store, and whether the store is sound.",
}
"""What each page is for, in a line."""


def _body(name: str) -> Callable[[], None]:
    """The page's function, imported only when the page is shown."""

    def render() -> None:
        import_module(f"explorer.app.{name}.page").render()

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
