"""The similarity graph around an architecture; clicking a node expands or collapses its neighbours."""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from explorer.analysis.score_kinds import TitledKind
from explorer.analysis.similarity_graph import MOST_EXPANDED, SHOWN, SimilarityGraph, similarity_graph
from explorer.analysis.tables import architectures_frame
from explorer.app import navigation
from explorer.app.shared import downloads, frames, services
from explorer.app.shared.markdown import verbatim
from explorer.library.settings import neighbors_kernel
from explorer.plots.similarity_graph import similarity_figure

KEY = "similarity_graph"
EXPANDED = "expand"
"""URL parameter of an expanded architecture; repeated for several."""
CLICKED = "similarity_clicked"
"""Session state: the node that was clicked last."""
ID = re.compile(r"[0-9a-f]{8,64}")


@st.cache_data(show_spinner=False, max_entries=64)
def _graph(url: str, space: str, id: str, expanded: tuple[str, ...], revision: int) -> SimilarityGraph:
    store = services.store()
    return similarity_graph(store, space, id, neighbors_kernel(store.space(space).info), expanded)


def render(id: str, space: str, scores: pd.DataFrame, picked: TitledKind | None) -> None:
    """Draw the graph, if the architecture has neighbours.

    Args:
        id: the architecture of the page.
        space: space whose neighbours are drawn.
        scores: scores of the space.
        picked: score kind that colours the nodes; ``None`` for none.
    """
    asked = tuple(one for one in st.query_params.get_all(EXPANDED) if ID.fullmatch(one))[:MOST_EXPANDED]
    found = _graph(services.store_url(), space, id, asked, services.store().revision("library"))
    if found.edges.empty:
        return
    known = architectures_frame(services.store().summaries(ids=[str(one) for one in found.nodes.index]))
    nodes = found.nodes.join(known, how="inner")
    means = None if picked is None else frames.mean_scores(scores, picked.kind)
    nodes["score"] = float("nan") if means is None else means.reindex(nodes.index)
    edges = found.edges[found.edges["source"].isin(nodes.index) & found.edges["target"].isin(nodes.index)]
    downloads.figure(
        similarity_figure(nodes, edges, found.expanded, id, None if picked is None else picked.title),
        f"{id[:8]}-similar",
        KEY,
        on_select=_select,
        selection_mode="points",
        alt="Similarity graph",
    )
    st.caption(
        f"{len(nodes)} architectures; squares are expanded to their {SHOWN} nearest. Click a circle to expand it, "
        f"a square to collapse it; at most {MOST_EXPANDED} can be expanded. Short and thick edges are "
        "small dissimilarities."
    )
    clicked = str(st.session_state.get(CLICKED, ""))
    if clicked in nodes.index and clicked != id:
        row = st.container(horizontal=True, vertical_alignment="center")
        with row:
            st.markdown(f"**{verbatim(nodes['label'].loc[clicked])}** · {nodes['operations'].loc[clicked]}")
            navigation.link("architecture", clicked, space, "Open it")
            navigation.compare_link([id, clicked], space, "Compare with it")


def _select() -> None:
    """Expand or collapse the clicked node."""
    state = st.session_state.get(KEY)
    points = state.selection.points if state is not None else []
    data = points[0].get("customdata") if points else None
    if not data:
        return
    clicked = str(data[0] if isinstance(data, list | tuple) else data["0"])
    st.session_state[CLICKED] = clicked
    opened = [one for one in st.query_params.get_all(EXPANDED) if ID.fullmatch(one)]
    opened = [one for one in opened if one != clicked] if clicked in opened else [*opened, clicked]
    st.query_params[EXPANDED] = opened[-MOST_EXPANDED:]
