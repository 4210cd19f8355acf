"""Pareto: the best trade-offs between a score and a cost, within limits, and the share that studies found."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd
import streamlit as st

from explorer.app import navigation
from explorer.app.pareto import tradeoffs
from explorer.app.pareto.tradeoffs import MEASURED, SCORE, Limit, Picks, Trade
from explorer.app.query.best_and_pareto import OfferedObjective
from explorer.app.shared import address, components, downloads, services
from explorer.app.shared.markdown import verbatim
from explorer.plots.pareto import add_mark, add_picks, pareto_plot
from graphstore.errors import NotFoundError

CHART = "pareto_chart"
MOST_STUDIES, MOST_LIMITS = 5, 4
LARGEST = 1e15
"""Largest number accepted from a form or a URL."""
COLUMNS = ["label", "operations", "hiddens", "parameters", "flops", "depth", "heterogeneity"]
STUDY_COLUMNS = {
    "evaluated": st.column_config.NumberColumn("evaluated", help="Different architectures with a finite value."),
    "failed": st.column_config.NumberColumn("failed", help="Failed trials."),
    "drawn": st.column_config.NumberColumn("drawn", help="Evaluated architectures with both values within the limits."),
    "front": st.column_config.NumberColumn("on the front", help="Drawn architectures on the Pareto front."),
    "volume": st.column_config.NumberColumn(
        "hypervolume", format="percent", help="Hypervolume that the drawn architectures dominate."
    ),
}


@components.page
def render() -> None:
    """Draw the page."""
    components.head("pareto")
    space = components.pick_space().name
    shown = services.store().revision("scores")
    components.watch_scores(shown)
    if services.architectures(space).empty:
        st.info(
            f"{space} has no architectures yet; {components.how_to_finish(space)}.",
            icon=":material/hourglass_empty:",
        )
        return
    offered = tradeoffs.offered(space)
    if not any(name.startswith(SCORE) for name in offered):
        components.no_scores_yet()
        st.page_link(
            navigation.page("query"),
            label="Weigh sizes and measurements against each other on the Query page",
            icon=navigation.PAGES["query"][1],
            query_params={"space": space, "tab": "Pareto"},
        )
        return
    objectives, logarithmic = _objectives(offered)
    left, right = st.columns(2)
    with left:
        limits = _limits(offered)
    with right:
        found = _studies(space)
    whole = tradeoffs.trade(space, objectives, limits)
    if whole.points.empty:
        _nothing_fits(whole, objectives, limits)
        return
    _headline(whole)
    left, right = st.columns([3, 1], gap="medium")
    with left:
        _chart(whole, objectives, found, logarithmic)
    with right:
        _selected(whole, space)
    _listed(whole, objectives, space)
    _compared(found, whole, objectives, space)


def _objectives(offered: Mapping[str, OfferedObjective]) -> tuple[list[OfferedObjective], bool]:
    """Show the selectors of cost, score and axis scale; all are kept in the URL."""
    left, middle, right = st.columns([5, 5, 2], vertical_alignment="bottom")
    titles = {name: one.title.removeprefix("score ") for name, one in offered.items()}
    with left:
        score = address.choice(
            "Score", [name for name in offered if name.startswith(SCORE)], "task", title=titles.__getitem__
        )
    with middle:
        cost = address.choice(
            "Against",
            tradeoffs.usual_cost(offered),
            "against",
            title=titles.__getitem__,
            help="Sizes by formula, and measurements on each device. `archex measure` adds more.",
        )
    with right:
        logarithmic = address.switch("Log scale", "log", help="Logarithmic axis of the cost.")
    if not any(name.startswith(MEASURED) for name in offered):
        st.caption("This space has no measurements; `archex measure` adds latency and memory.")
    return [offered[cost], offered[score]], logarithmic


def _limits(offered: Mapping[str, OfferedObjective]) -> list[Limit]:
    """Show the limits; they are kept in the URL."""
    limitable = [name for name in offered if not name.startswith("-")]
    chosen = address.choices(
        "Limits",
        limitable,
        "limits",
        title=lambda name: offered[name].title,
        placeholder="None: select a quantity to limit it",
        max_selections=MOST_LIMITS,
    )
    found: list[Limit] = []
    if not chosen:
        return found
    for name in chosen:
        title = verbatim(offered[name].title)
        left, right = st.columns(2)
        with left:
            low = address.number(f"{title} at least", f"from {name}", -LARGEST, LARGEST, format="%.15g")
        with right:
            high = address.number(f"{title} at most", f"to {name}", -LARGEST, LARGEST, format="%.15g")
        if low is not None and high is not None and low > high:
            st.warning(f"The upper limit of {title} is below the lower one; both were ignored.")
        elif low is not None or high is not None:
            found.append(Limit(offered[name], (low, high)))
    return found


def _studies(space: str) -> list[Picks]:
    """Show the selector of studies whose evaluated architectures are marked."""
    store = services.store()
    known = {study.name: study for study in store.studies() if study.space == space}
    if not known:
        return []
    chosen = address.choices(
        "Studies",
        list(known),
        "studies",
        placeholder="None: select a study to mark its evaluated architectures",
        max_selections=MOST_STUDIES,
    )
    found = []
    for name in chosen[:MOST_STUDIES]:
        try:
            found.append(tradeoffs.picks_of(known[name], store.trials(name)))
        except NotFoundError:
            st.warning(f"Study {verbatim(name)} has just been deleted.")
    return found


def _nothing_fits(whole: Trade, objectives: Sequence[OfferedObjective], limits: Sequence[Limit]) -> None:
    names = " and ".join(f"*{verbatim(one.title)}*" for one in objectives)
    if whole.total and limits:
        kept = verbatim("; ".join(limit.text for limit in limits))
        text = f"{whole.total:,} architectures have {names}, but none satisfies the limits: {kept}. Relax them."
    else:
        text = f"No architecture has both {names}. Select others, or measure the scored architectures."
    st.info(text, icon=":material/search_off:")


def _headline(whole: Trade) -> None:
    kept = f" (of {whole.total:,} without limits)" if whole.total > len(whole.points) else ""
    volume = "" if whole.volume is None else f" Hypervolume **{whole.volume:.1%}**."
    st.markdown(
        f"**{len(whole.front):,}** of {len(whole.points):,} architectures{kept} form the Pareto front.{volume}",
        help="They are non-dominated: none is better in one value and at least as good in the other. "
        "The hypervolume is the share of the box between the worst and the best values of all points, ignoring limits, "
        "that they dominate.",
    )


def _chart(whole: Trade, objectives: Sequence[OfferedObjective], found: Sequence[Picks], logarithmic: bool) -> None:
    axes = tradeoffs.axes(objectives)
    figure = pareto_plot(whole.points, whole.front, axes)
    for place, picks in enumerate(found):
        own = whole.points.loc[whole.points.index.intersection(list(picks.ids))]
        add_picks(figure, picks.study.name, own, axes, place)
    drawing = (*axes, logarithmic, len(whole.points), *(picks.study.name for picks in found))
    marked = _marked(drawing, st.query_params.get("id"))
    if marked in whole.points.index:
        add_mark(figure, whole.points.loc[[marked]], axes)
    if logarithmic and (whole.points[axes[0].column] > 0).all():
        figure.update_xaxes(type="log", range=None)
    elif logarithmic:
        st.caption("Some costs are not positive, so the axis is linear.")
    downloads.figure(
        figure,
        "pareto",
        CHART,
        on_select=_select,
        selection_mode="points",
        config={"scrollZoom": True},
        alt=f"Pareto front of {axes[1].title} against {axes[0].title}",
    )
    st.caption("Click a point to see its architecture. Values are means over seeds and sources.")


def _marked(drawing: tuple[Hashable, ...], selected: str | None) -> str | None:
    """Return the architecture to mark.

    The chart itself shows a click and keeps its zoom. The server draws a mark only when it redraws the figure or the
    figure already has one.
    """
    state = st.session_state
    if state.get("pareto_drawing") != drawing or state.get("pareto_marked") is not None:
        state["pareto_drawing"], state["pareto_marked"] = drawing, selected
    marked: str | None = state.get("pareto_marked")
    return marked


def _select() -> None:
    """Write the id of the clicked point to the URL."""
    state = st.session_state.get(CHART)
    points = state.selection.points if state is not None else []
    data = points[0].get("customdata") if points else None
    if data:
        address.write("id", str(data[-1] if isinstance(data, list | tuple) else list(data.values())[-1]))


def _selected(whole: Trade, space: str) -> None:
    st.markdown("##### Selected")
    id = address.read("id", whole.points.index.__contains__, "architecture among these points")
    if id is None:
        st.caption("Nothing is selected. Click a point of the figure.")
        return
    components.summary_card(id, whole.points.loc[[id]].iloc[0], services.scores(space), space)


def _listed(whole: Trade, objectives: Sequence[OfferedObjective], space: str) -> None:
    st.subheader("Pareto set")
    extra = {one.column: one.title for one in objectives if one.column not in COLUMNS}
    table = whole.points.loc[whole.front].rename(columns=extra)
    configs = {one.title: one.column_config for one in objectives if one.column in extra}
    columns = ["label", *configs, *COLUMNS[1:]]
    components.architecture_table(table, columns, space, "pareto_front", height=420, column_config=configs)


def _compared(found: Sequence[Picks], whole: Trade, objectives: Sequence[OfferedObjective], space: str) -> None:
    if not found:
        return
    st.subheader("Share found by the studies")
    table: pd.DataFrame = tradeoffs.picks_table(found, whole, objectives)
    downloads.table(
        table,
        f"{space}-pareto-studies",
        "pareto_studies",
        column_config=STUDY_COLUMNS,
        hide_index=True,
        placeholder=components.UNKNOWN,
    )
