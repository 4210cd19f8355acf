"""Heterogeneity: operation and width at each layer, all architectures against the best and the selected one."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from explorer.app import components, frames, services
from explorer.plots import heterogeneity_scatter, operation_shares, width_shares
from graphstore.errors import NotFoundError


@components.page
def render() -> None:
    """Draw the page."""
    st.title("Heterogeneity")
    space = components.pick_space().name
    architectures = services.architectures(space)
    if architectures.empty:
        st.info(
            f"{space} has no architectures yet; {components.how_to_finish(space)}.", icon=":material/hourglass_empty:"
        )
        return
    scores = services.scores(space)
    left, middle, right = st.columns(3)
    with left:
        series = components.pick_series(scores, "Scores", "heterogeneity_series")
        if series is None:
            st.caption("No scores yet: there are no best ones to compare with.")
    known = pd.Series(dtype=float, name="score") if series is None else frames.mean_scores(scores, series)
    with middle:
        depth = _pick_depth(architectures, known)
    with right:
        count = st.slider("How many of the best", 1, 50, 10, key="heterogeneity_best", disabled=series is None)
    groups = _groups(space, architectures, known, depth, count, series)
    st.subheader("Operation at each layer")
    st.plotly_chart(operation_shares(groups), key="heterogeneity_operations", alt="Share of each operation per layer")
    st.subheader("Hidden size at each layer")
    st.plotly_chart(width_shares(groups), key="heterogeneity_widths", alt="Share of each hidden size per layer")
    st.subheader("Heterogeneity against score")
    if series is None:
        components.no_scores_yet()
        return
    _scatter(architectures, known, series)


def _pick_depth(architectures: pd.DataFrame, known: pd.Series) -> int:
    """One depth at a time: a layer's index means something else in a deeper architecture."""
    depths = sorted(int(depth) for depth in architectures["depth"].unique())
    scored = architectures.loc[architectures.index.isin(known.index), "depth"]
    usual = int((scored if len(scored) else architectures["depth"]).mode().iloc[0])
    wanted = st.query_params.get("depth", "")
    begin = int(wanted) if wanted.isdecimal() and int(wanted) in depths else usual
    chosen = st.segmented_control("Layers", depths, default=begin, key="heterogeneity_depth")
    depth = begin if chosen not in depths else int(chosen)
    st.query_params["depth"] = str(depth)
    return depth


def _groups(
    space: str, architectures: pd.DataFrame, known: pd.Series, depth: int, count: int, series: str | None
) -> dict[str, pd.DataFrame]:
    layers = services.layers(space)
    layers = layers[layers["depth"] == depth]
    members = architectures[architectures["depth"] == depth]
    groups = {f"all {len(members):,} with {depth} layers": layers}
    if series is not None:
        best = known[known.index.isin(members.index)].nlargest(count)
        if len(best):
            groups[f"best {len(best)} by {series}"] = layers[layers["id"].isin(best.index)]
        else:
            st.caption(f"None of those with {depth} layers is scored.")
    selected = _selected(members)
    if selected is not None:
        groups[f"selected: {selected[:8]}"] = layers[layers["id"] == selected]
    return groups


def _selected(members: pd.DataFrame) -> str | None:
    """The architecture to compare: from the address, or typed. ``None`` if there is none of this depth."""
    asked = st.text_input(
        "Compare with an architecture (id, its first 6 or more characters, or a known name)",
        value=st.query_params.get("id", ""),
        max_chars=64,
        key="heterogeneity_id",
    ).strip()
    if not asked:
        st.query_params.pop("id", None)
        return None
    try:
        id = services.architecture(services.id_named(asked, members)).id
    except NotFoundError as error:
        st.warning(f"{error}", icon=":material/search_off:")
        return None
    st.query_params["id"] = id
    if id not in members.index:
        st.caption(f"{id[:8]} is not among those with this number of layers in this space.")
        return None
    return id


def _scatter(architectures: pd.DataFrame, known: pd.Series, series: str) -> None:
    points = architectures.join(known, how="inner")
    st.plotly_chart(heterogeneity_scatter(points, series), key="heterogeneity_scatter", alt="Heterogeneity and score")
    notes = []
    for depth, rows in points.groupby("depth", sort=True):
        if len(rows) < 3 or rows["heterogeneity"].nunique() < 2 or rows["score"].nunique() < 2:
            notes.append(f"{depth} layers: too few different ones")
            continue
        rho = rows["heterogeneity"].rank().corr(rows["score"].rank())
        notes.append(f"{depth} layers: {rho:+.2f} ({len(rows)} scored)")
    st.caption("Rank correlation (Spearman) of heterogeneity and score. " + "; ".join(notes) + ".")
