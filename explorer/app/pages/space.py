"""Space: the map of all architectures, coloured by what the visitor asks for."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd
import streamlit as st

from explorer.app import components, frames, services
from explorer.plots import MapColor, space_map
from explorer.plots.base import range_of_equal
from explorer.plots.palette import operation_color, operation_title
from explorer.runner import tables
from graphstore.records import SpaceRecord

MAP_KEY = "space_map"
BEST = 15
SCORE = "Score: "
SCORE_COLUMN = "score"
COLORS = {
    "Operation of the last layer": "last",
    "Operation of the first layer": "first",
    "Depth": "depth",
    "Parameters": "parameters",
    "FLOPs": "flops",
    "Heterogeneity": "heterogeneity",
}


@components.page
def render() -> None:
    """Draw the page."""
    st.title("Space")
    space = components.pick_space()
    shown = services.store().revision("scores")
    scores = services.scores(space.name)
    components.watch_scores(shown)
    points, spread = services.map_points(space.name)
    if points.empty:
        st.info(
            f"The architectures of {space.name} have no vectors yet. If its library is being built, look again in a "
            f"minute; if that was interrupted, {components.how_to_finish(space.name)}.",
            icon=":material/hourglass_empty:",
        )
        st.button("Look again", icon=":material/refresh:", key="look_again")
        return
    selected = _selected(points)
    _headline(space, points, scores)
    left, right = st.columns([3, 1], gap="medium")
    with left:
        _map(points, spread, scores, selected, space)
    with right:
        _card(selected, points, scores, space.name)
    _best(points, scores, space.name)


def _selected(points: pd.DataFrame) -> str | None:
    """The selected id from the address, or ``None``; says so if it is not in this space."""
    wanted = st.query_params.get("id")
    if wanted is None:
        return None
    if wanted in points.index:
        return wanted
    st.warning(f"There is no architecture {wanted!r} in this space. Click a point of the map to select another one.")
    return None


def _headline(space: SpaceRecord, points: pd.DataFrame, scores: pd.DataFrame) -> None:
    title = space.info.get("title") or space.name
    scored = scores["id"].nunique()
    noun = "architecture" if len(points) == 1 else "architectures"
    st.markdown(f"**{title}**: {len(points):,} {noun}, {scored:,} of them scored.")


def _map(
    points: pd.DataFrame, spread: tables.Spread, scores: pd.DataFrame, selected: str | None, space: SpaceRecord
) -> None:
    color = _pick_color(points, scores)
    if not color.palette:
        _about_values(color.values.reindex(points.index), scores)
    scored = pd.Index(scores["id"].unique())
    axes = (f"coordinate 1 ({spread.x:.0%} of the variance)", f"coordinate 2 ({spread.y:.0%})")
    ring = _ring((space.name, color.title, len(scores)), selected)
    figure = space_map(points, color, scored, axes, ring)
    st.plotly_chart(
        figure,
        key=MAP_KEY,
        on_select=_select,
        selection_mode="points",
        config={"scrollZoom": True},
        alt="Map of the space",
    )
    agreement = space.info.get("embedding_spearman")
    kept = ""
    if agreement and len(points) > 2 and math.isfinite(agreement):
        kept = f" All together keep the order of the exact dissimilarities (Spearman {agreement:.2f})."
    st.caption(
        "Each point is an architecture; near ones have similar graphs (kernel of many views). The axes are the first "
        f"two of the stored principal coordinates, which come in the order of falling eigenvalues.{kept} "
        "Scored architectures are larger. Click a point to select it."
    )


def _about_values(values: pd.Series, scores: pd.DataFrame) -> None:
    """Say of a number that colours the map how many have it, where that is fewer than are scored, and if all agree."""
    known = values.dropna()
    notes = []
    if values.name == SCORE_COLUMN and len(known) < scores["id"].nunique():
        notes.append(f"{len(known):,} with this score.")
    if len(known) > 1 and range_of_equal(known) is not None:
        notes.append(f"All {len(known):,} are equal: {known.iloc[0]:.4g}.")
    if notes:
        st.caption(" ".join(notes))


def _pick_color(points: pd.DataFrame, scores: pd.DataFrame) -> MapColor:
    series = [f"{SCORE}{name}" for name in frames.series_names(scores)]
    choice = str(st.selectbox("Colour by", [*series, *COLORS], key="space_color"))
    if choice in series:
        name = choice.removeprefix(SCORE)
        return MapColor.numbers(name, frames.mean_scores(scores, name), ".4f")
    column = COLORS[choice]
    values = points[column]
    if column in ("first", "last"):
        found = list(values.unique())
        palette: dict[Hashable, str] = {value: operation_color(value) for value in found}
        titles: dict[Hashable, str] = {value: operation_title(value) for value in found}
        return MapColor.categories(choice, values, palette, titles)
    if column == "depth":
        return MapColor.categories(choice, values, titles={depth: f"{depth} layers" for depth in values.unique()})
    return MapColor.numbers(choice, values, ".2f" if column == "heterogeneity" else ",.0f")


def _ring(drawing: tuple[Any, ...], selected: str | None) -> str | None:
    """The architecture to draw a ring around.

    A click is shown by the chart itself, which keeps the visitor's zoom. Only when the map is drawn anew, or has a
    ring already, the ring has to follow.
    """
    state = st.session_state
    if state.get("space_drawing") != drawing or state.get("space_ring") is not None:
        state["space_drawing"], state["space_ring"] = drawing, selected
    ring: str | None = state.get("space_ring")
    return ring


def _select() -> None:
    """Take the clicked point's id into the address."""
    state = st.session_state.get(MAP_KEY)
    found = state.selection.points if state is not None else []
    data = found[0].get("customdata") if found else None
    if data:
        st.query_params["id"] = str(data[0] if isinstance(data, list | tuple) else data["0"])


def _card(selected: str | None, points: pd.DataFrame, scores: pd.DataFrame, space: str) -> None:
    if selected is None:
        st.markdown("##### Selected")
        st.caption("Nothing yet. Click a point of the map, or a row's link in the table below.")
        return
    st.markdown("##### Selected")
    components.summary_card(selected, points.loc[[selected]].iloc[0], scores, space)


def _best(points: pd.DataFrame, scores: pd.DataFrame, space: str) -> None:
    st.subheader("Best scored")
    series = components.pick_series(scores, "Scores", "space_best")
    if series is None:
        components.no_scores_yet()
        return
    best = frames.mean_scores(scores, series).sort_values(ascending=False, kind="stable")
    table = points.join(best, how="inner").sort_values("score", ascending=False, kind="stable").head(BEST)
    columns = ["label", "score", "operations", "hiddens", "parameters", "flops", "heterogeneity"]
    components.architecture_table(table, columns, space, "space_best_table")
