"""Space: the map of all architectures, coloured and sized by a chosen quantity."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from explorer.analysis.projections import Projection
from explorer.analysis.score_kinds import TitledKind
from explorer.app.shared import address, components, downloads, frames, services
from explorer.app.shared.markdown import verbatim
from explorer.app.space import build_form, chosen_view, map_choices, map_services, map_values
from explorer.app.space.map_choices import SCORE_COLUMN, Offer
from explorer.errors import InputError
from explorer.library.settings import is_finished
from explorer.plots import Highlight, MapColor, MapSize, space_map
from explorer.plots.base import range_of_equal, with_revision
from graphstore.records import SpaceRecord

MAP_KEY = "space_map"
BEST = 15
MOST_DRAWN = 20_000
"""Most points that are drawn; beyond it unscored, unhighlighted points are subsampled."""
MOST_FOUND = 200
"""Most architectures that the search box highlights."""
AREA = "area"
"""URL parameter of a selected area; repeated for several areas."""
MOST_AREAS = 4
DRAWN = "space_drawn"
"""Session state: what the map was last drawn with, and its areas."""


@components.page
def render() -> None:
    """Draw the page."""
    components.head("space")
    space = components.pick_space()
    shown = services.store().revision("scores")
    scores = services.scores(space.name)
    components.watch_scores(shown)
    architectures = services.architectures(space.name)
    vectors = map_services.pca(space.name)
    # Index.isin takes twenty times as long on ids.
    known = architectures.loc[vectors.points.index.get_indexer(architectures.index) >= 0]
    if known.empty:
        st.info(
            f"The architectures of {space.name} have no vectors yet. If its library is being built, come back in a "
            f"minute; if the build was interrupted, {components.how_to_finish(space.name)}.",
            icon=":material/hourglass_empty:",
        )
        st.button("Look again", icon=":material/refresh:", key="look_again")
        return
    selected, found = _selected(known), _found(known)
    _headline(space, known, scores)
    offer = Offer(known, scores, map_services.layer_shares(space.name), map_services.measured(space.name))
    top = st.columns(4)
    with top[0]:
        color = map_choices.pick_color(offer)
    with top[1]:
        size = map_choices.pick_size(offer)
    with top[2]:
        projection = map_choices.pick_projection(space.name, is_finished(space.info))
    with top[3]:
        picked = components.pick_kind(scores, "Scores of filter and tables", "space_best")
    score = pd.Series(dtype=float, name=SCORE_COLUMN) if picked is None else frames.mean_scores(scores, picked.kind)
    limits = map_choices.pick_limits(offer, picked is not None)
    points = known.join(projection.points, how="inner").join(score, how="left")
    kept = points[limits.mask(points, score, offer.shares)]
    if len(kept) < len(points):
        st.caption(f"{len(kept):,} of {len(points):,} pass the filters.")
    left, right = st.columns([3, 1], gap="medium")
    with left:
        if kept.empty:
            st.info("No architecture passes the filters. Relax them to see the map.", icon=":material/filter_alt_off:")
        else:
            _map(kept, projection, offer, (color, size, limits), selected, found, space)
    with right:
        _card(selected, known, scores, space.name)
    areas = _areas()
    if areas and len(kept):
        chosen_view.render(kept[map_values.inside(kept, areas)], picked, space.name, _forget_areas)
    _best(kept, picked, space.name)
    build_form.render()


def _selected(points: pd.DataFrame) -> str | None:
    """Return the selected id from the URL or ``None``; show a notice if it is not in this space."""
    wanted = st.query_params.get("id")
    if wanted is None:
        return None
    if wanted in points.index:
        return wanted
    meant = _search(points, wanted)
    if len(meant) == 1:
        return meant[0]
    st.warning(
        f"This space has no architecture {verbatim(repr(wanted[:64]))}. Click a point of the map to select another one."
    )
    return None


def _search(points: pd.DataFrame, text: str) -> list[str]:
    """Return the architecture of the space that a text names, else all that match it in part."""
    try:
        found = services.find_architecture(text, points).id if text else ""
    except InputError:
        found = ""
    return [found] if found in points.index else map_values.find_ids(points, text[: services.LONGEST_NAME])


def _found(points: pd.DataFrame) -> list[str]:
    """Return the ids that match the search box; a single match becomes the selected architecture."""

    def typed() -> None:
        hits = _search(points, str(st.session_state.get("find") or ""))
        if len(hits) == 1:
            st.query_params["id"] = hits[0]

    text = address.text(
        "Find an architecture",
        "find",
        longest=64,
        placeholder="Id, its first 3 or more characters, or a name",
        icon=":material/search:",
        on_change=typed,
        label_visibility="collapsed",
    )
    found = _search(points, text)
    if text and not found:
        st.warning(
            f"No id of this space begins with {verbatim(repr(text))}, and no name contains it.",
            icon=":material/search_off:",
        )
    elif len(found) == 1:
        if "id" not in st.query_params:
            st.query_params["id"] = found[0]
            st.rerun()
        label = verbatim(points["label"].loc[found[0]])
        st.caption(f"Found {label}; the map is zoomed in on it. Double-click the map to zoom out.")
    elif found:
        some = ", ".join(verbatim(points["label"].loc[id]) for id in found[:5])
        st.caption(f"{len(found):,} matches, drawn as diamonds: {some}{', …' if len(found) > 5 else ''}")
    return found[:MOST_FOUND]


def _headline(space: SpaceRecord, points: pd.DataFrame, scores: pd.DataFrame) -> None:
    title = space.info.get("title") or space.name
    scored = scores["id"].nunique()
    noun = "architecture" if len(points) == 1 else "architectures"
    st.markdown(f"**{verbatim(title)}**: {len(points):,} {noun}, {scored:,} of them scored.")


@st.cache_resource(show_spinner=False, max_entries=12)
def _figure(
    drawing: tuple[object, ...],
    highlight: Highlight,
    _points: pd.DataFrame,
    _projection: Projection,
    _color: MapColor,
    _size: MapSize | None,
    _scored: pd.Index,
) -> go.Figure:
    """Return the map figure, cached for all sessions with the same view; callers must not modify it."""
    return with_revision(space_map(_points, _color, _scored, _projection.axes, _size, highlight))


def _map(
    points: pd.DataFrame,
    projection: Projection,
    offer: Offer,
    appearance: tuple[MapColor, MapSize | None, map_values.MapFilters],
    selected: str | None,
    found: list[str],
    space: SpaceRecord,
) -> None:
    color, size, limits = appearance
    if not color.palette:
        _about_values(color.values.reindex(points.index), offer.scores)
    scored = pd.Index(offer.scores["id"].unique())
    store = services.store()
    # Everything the figure depends on except highlighted points.
    drawing = (
        (services.store_url(), space.name, store.revision("library"), store.revision("scores")),
        (color.title, size and size.title, projection.method, *projection.settings.values()),
        limits,
        tuple(found),
    )
    ring, areas = _highlight(drawing, selected)
    highlight = Highlight(ring, tuple(found), found[0] if len(found) == 1 else None, tuple(areas))
    # Always draw the selected architecture, even if the other points are subsampled.
    always = [*scored, *found, *([ring] if ring else [])]
    drawn = points.loc[map_values.drawn_ids(points, always, MOST_DRAWN)]
    downloads.figure(
        _figure(drawing, highlight, drawn, projection, color, size, scored),
        f"{space.name}-map",
        MAP_KEY,
        on_select=_select,
        selection_mode=("points", "box", "lasso"),
        config={"scrollZoom": True},
        alt="Map of the space",
    )
    few = f" {len(drawn):,} of {len(points):,} are drawn." if len(drawn) < len(points) else ""
    agreement = space.info.get("embedding_spearman")
    order = ""
    if agreement and len(points) > 2 and math.isfinite(agreement):
        order = f" Distances in all 16 dimensions follow the exact dissimilarities with Spearman {agreement:.2f}."
    st.caption(
        "Each point is an architecture; close points have similar graphs (multi-view kernel). "
        f"{map_choices.describe_projection(projection)}{order}{few} Click a point to select it. Select an area with "
        "the box or lasso tool above the map; a double click clears it."
    )


def _about_values(values: pd.Series, scores: pd.DataFrame) -> None:
    """Show how many architectures have the value that colours the map, and whether all values are equal."""
    known = values.dropna()
    notes = []
    if values.name == SCORE_COLUMN and len(known) < scores["id"].nunique():
        notes.append(f"{len(known):,} with this score.")
    if len(known) > 1 and range_of_equal(known) is not None:
        notes.append(f"All {len(known):,} are equal: {known.iloc[0]:.4g}.")
    if notes:
        st.caption(" ".join(notes))


def _highlight(drawing: tuple[object, ...], selected: str | None) -> tuple[str | None, list[map_values.Area]]:
    """Return the architecture to mark with a ring, and the areas to draw.

    The chart itself shows a new click or lasso and keeps its zoom. The server draws them only when it redraws the map
    or when they come from the URL.
    """
    before = st.session_state.get(DRAWN)
    if before is None or before[0] != drawing or before[1] is not None or before[2]:
        before = (drawing, selected, _areas())
        st.session_state[DRAWN] = before
    ring: str | None = before[1]
    areas: list[map_values.Area] = before[2]
    return ring, areas


def _areas() -> list[map_values.Area]:
    """Return the map areas in the URL without invalid ones."""
    stated = st.query_params.get_all(AREA)[:MOST_AREAS]
    return [area for text in stated if (area := map_values.read_area(text)) is not None]


def _forget_areas() -> None:
    st.query_params.pop(AREA, None)
    st.session_state.pop(DRAWN, None)


def _select() -> None:
    """Write the id of the clicked point, or the drawn areas, to the URL."""
    state = st.session_state.get(MAP_KEY)
    if state is None:
        return
    selection = state.selection
    shapes = [*selection.get("box", ()), *selection.get("lasso", ())]
    areas = [map_values.area_of(shape["x"], shape["y"]) for shape in shapes[:MOST_AREAS]]
    texts = [map_values.area_text(area) for area in areas if area is not None]
    points = selection.get("points", ())
    if texts:
        st.query_params[AREA] = texts
    elif points:
        id = points[0].get("customdata")
        if id:
            st.query_params["id"] = str(id)
    else:
        st.query_params.pop(AREA, None)


def _card(selected: str | None, points: pd.DataFrame, scores: pd.DataFrame, space: str) -> None:
    st.markdown("##### Selected")
    if selected is None:
        st.caption("Nothing is selected. Click a point of the map, search for an id or a name, or select one below.")
        return
    components.summary_card(selected, points.loc[[selected]].iloc[0], scores, space)


def _best(points: pd.DataFrame, picked: TitledKind | None, space: str) -> None:
    st.subheader("Best scored")
    if picked is None:
        components.no_scores_yet()
        return
    table = frames.best_first(points.dropna(subset=[SCORE_COLUMN]), picked.kind.lower_is_better).head(BEST)
    if table.empty:
        st.caption("No architecture that passes the filters has this score.")
        return
    columns = ["label", "score", "operations", "hiddens", "parameters", "flops", "heterogeneity"]
    components.architecture_table(table, columns, space, "space_best_table")
