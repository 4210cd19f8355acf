"""Query: find architectures by a form or in Cypher."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.analysis import tables
from explorer.analysis.quantities import FACT_TITLES
from explorer.app.query import best_and_pareto, cypher_console
from explorer.app.query.query_form import (
    ADDRESS,
    FACTS,
    LARGEST,
    LIMITS,
    MOST_RULES,
    OPEN,
    POSITIONS,
    SORTS,
    Choices,
    FormQuery,
    Layer,
    choices_of,
    read_address,
)
from explorer.app.shared import address, components, frames, services
from explorer.app.shared.markdown import verbatim
from explorer.documents.json_text import parse_json
from explorer.errors import InputError
from explorer.library.library import Library, vector_of
from explorer.space.operations import family_titles, parameter_titles
from graphstore.errors import StoreInputError
from graphstore.queries import Ends, Fact

TABS = ("Guided", "Best per task", "Pareto", "Cypher")
ANYTHING = "any"
LONGEST_VECTOR, LONGEST_SHARED = 100_000, 2_000
"""Most characters of a pasted vector, and of one in the URL."""
POSITION_TITLES = {"first": "First layer", "last": "Last layer", "any": "Any layer"}
SHOWN = ["label", "score", "operations", "hiddens", "parameters", "flops", "depth", "heterogeneity"]


@components.page
def render() -> None:
    """Draw the page."""
    components.head("query")
    space = components.pick_space().name
    # The key is the URL parameter.
    guided, best, pareto, cypher = st.tabs(TABS, key="tab", bind="query-params")
    with guided:
        asked = _guided(space)
    with cypher:
        cypher_console.render(space)
    # Draw these tabs only when they are open: their queries are the slow ones.
    if best.open:
        with best:
            best_and_pareto.best(space)
    if pareto.open:
        with pareto:
            _pareto(asked, space)


def _guided(space: str) -> tuple[FormQuery, Choices] | None:
    """Draw the tab and return the query, or ``None`` if the space is empty."""
    layers, scores = services.layers(space), services.scores(space)
    if layers.empty:
        _nothing_yet(space)
        return None
    choices = choices_of(layers, frames.score_kinds(scores))
    query, wrong = read_address(st.query_params.to_dict(), choices)
    if wrong:
        st.warning(f"The URL names values that this space does not have: {', '.join(wrong)}. They were ignored.")
    new = _form(query, choices, space)
    if new is not None:
        for name in ADDRESS:
            st.query_params.pop(name, None)
        st.query_params.update(new.address())
        query = new
    _answer(query, space)
    vector = address.read("vector", lambda text: True, "vector", LONGEST_SHARED) or ""
    with st.expander("Nearest to a vector", expanded=bool(vector)):
        _nearest(space, scores, vector)
    return query, choices


def _nothing_yet(space: str) -> None:
    st.info(
        f"{space} has no architectures yet; {components.how_to_finish(space)}.",
        icon=":material/hourglass_empty:",
    )


def _pareto(asked: tuple[FormQuery, Choices] | None, space: str) -> None:
    if asked is None:
        _nothing_yet(space)
        return
    query, choices = asked
    try:
        question = query.question(space)
    except StoreInputError as error:
        st.warning(verbatim(error), icon=":material/error:")
        return
    titles = ["layers"] if any(not layer.is_empty for layer in query.layers) else []
    titles += [FACT_TITLES[Fact(name)] for name, ends in query.ranges.items() if ends != OPEN]
    titles += [f"score {query.kind.title}"] if query.kind is not None else []
    best_and_pareto.pareto(space, choices.kinds, question, ", ".join(titles))


def _nearest(space: str, scores: pd.DataFrame, vector: str) -> None:
    """Show the architectures nearest to a vector of the space's embedding, from the input or the URL."""
    left, right = st.columns([4, 1])
    text = left.text_area(
        "Vector",
        vector,
        height=80,
        max_chars=LONGEST_VECTOR,
        placeholder="[0.25, -1, 3e-2, …]",
        help="A JSON list with as many numbers as the vectors of the space.",
        key="nearest_vector",
    )
    with right:
        k = address.number("How many", "nearest_k", 1, 100, 10) or 10
    address.write("vector", text.strip() if 0 < len(text.strip()) <= LONGEST_SHARED else None)
    if not text.strip():
        return
    if len(text.strip()) > LONGEST_SHARED:
        st.caption(
            f"The vector exceeds the {LONGEST_SHARED:,} characters that a URL can hold, so this view cannot be linked."
        )
    try:
        library = Library.open(services.store(), space)
        found = library.nearest_by_vector(vector_of(parse_json(text, "vector")), int(k))
    except (InputError, StoreInputError) as error:
        st.warning(verbatim(error), icon=":material/error:")
        return
    table = tables.architectures_frame(services.store().summaries(ids=[id for id, _ in found]))
    table = table.loc[[id for id, _ in found]].copy()
    table["distance"] = [distance for _, distance in found]
    first = next(iter(frames.score_kinds(scores)), None)
    if first is not None:
        table["score"] = frames.mean_scores(scores, first.kind).reindex(table.index)
    columns = ["distance", *(name for name in SHOWN if name in table)]
    components.architecture_table(table, columns, space, "nearest_table")
    st.caption(
        "By Euclidean distance in the space's embedding."
        + (f" The score is {verbatim(first.title)}." if first is not None else "")
    )


def _form(query: FormQuery, choices: Choices, space: str) -> FormQuery | None:
    """Show the form with the current query; return the submitted one."""
    stated = (space, tuple(sorted(query.address().items())))
    if st.session_state.get("query_stated") != stated:
        # After a link or the browser's Back, reset the fields to the URL's values.
        st.session_state["query_stated"] = stated
        st.session_state["query_round"] = st.session_state.get("query_round", 0) + 1
    key = f"query_{st.session_state['query_round']}"
    with st.form("query_form", border=True):
        rules = [_layer(query, n, choices, key) for n in range(MOST_RULES)]
        columns = st.columns(len(FACTS), vertical_alignment="bottom")
        ranges = {}
        for column, name in zip(columns, FACTS, strict=True):
            ranges[name] = _range(
                column, _fact_title(name), query.ranges.get(name, OPEN), f"{key}_{name}", name != "heterogeneity"
            )
        left, middle, right, last = st.columns([2, 2, 2, 1], vertical_alignment="bottom")
        kinds = {one.title: one for one in choices.kinds}
        titles = ["", *kinds]
        title = left.selectbox(
            "Score",
            titles,
            index=0 if query.kind is None else titles.index(query.kind.title),
            format_func=lambda title: title or "with or without",
            help="Only architectures with this score. Kinds of scores that are not comparable are listed separately.",
            key=f"{key}_kind",
        )
        score = _range(middle, "Score", query.score, f"{key}_score", False)
        sorts = ["", *SORTS]
        sort = right.selectbox(
            "Order",
            sorts,
            index=sorts.index(query.sort) if query.sort in sorts else 0,
            format_func=lambda name: SORTS.get(name, "By id"),
            key=f"{key}_sort",
        )
        limit = last.selectbox("Maximal number of rows", LIMITS, index=LIMITS.index(query.limit), key=f"{key}_limit")
        pressed = st.form_submit_button("Find", icon=":material/search:", type="primary")
    if not pressed:
        return None
    asked = tuple(layer for layer in rules if not layer.is_empty)
    # Ordering by score without a selected score uses the first one.
    kind = kinds.get(title)
    if kind is None and sort == "score":
        kind = next(iter(choices.kinds), None)
        if kind is None:
            st.warning("No architecture has a score to order by yet.")
            sort = ""
    new = FormQuery(asked, ranges, kind, OPEN if kind is None else score, sort, limit)
    st.session_state["query_stated"] = (space, tuple(sorted(new.address().items())))
    return new


def _fact_title(name: str) -> str:
    title = FACT_TITLES[Fact(name)]
    return title[0].upper() + title[1:]


def _layer(query: FormQuery, n: int, choices: Choices, key: str) -> Layer:
    now = query.layers[n] if n < len(query.layers) else Layer(list(POSITIONS)[n % len(POSITIONS)])
    place, family, parameter, hidden = st.columns(4)
    visible: Literal["visible", "collapsed"] = "visible" if n == 0 else "collapsed"
    places, families, parameters = list(POSITIONS), ["", *choices.families], ["", *choices.parameters]
    hiddens = [0, *choices.hiddens]

    def title(value: object) -> str:
        return str(value or ANYTHING)

    def parameter_title(value: str) -> str:
        return f"kernel {value}" if value.isdigit() else parameter_titles().get(value, title(value))

    return Layer(
        place.selectbox(
            "Layer",
            places,
            index=places.index(now.position),
            format_func=POSITION_TITLES.__getitem__,
            label_visibility=visible,
            key=f"{key}_place{n}",
        ),
        family.selectbox(
            "Operation",
            families,
            index=families.index(now.family),
            format_func=lambda value: family_titles().get(value, title(value)),
            help="A layer with mixed operations matches each of them.",
            label_visibility=visible,
            key=f"{key}_family{n}",
        ),
        parameter.selectbox(
            "Its parameter",
            parameters,
            index=parameters.index(now.parameter),
            format_func=parameter_title,
            help="The kind of attention or transform, or the convolution's kernel size.",
            label_visibility=visible,
            key=f"{key}_parameter{n}",
        ),
        hidden.selectbox(
            "Hidden size",
            hiddens,
            index=hiddens.index(now.hidden),
            format_func=title,
            label_visibility=visible,
            key=f"{key}_hidden{n}",
        ),
    )


def _range(place: DeltaGenerator, title: str, now: Ends, key: str, whole: bool) -> Ends:
    low, high = place.columns(2, vertical_alignment="bottom")
    return (
        _end(low, f"{title} from", now[0], f"{key}_from", whole),
        _end(high, f"{title} to", now[1], f"{key}_to", whole),
    )


def _end(place: DeltaGenerator, title: str, now: float | None, key: str, whole: bool) -> float | None:
    if whole:
        start = None if now is None else int(now)
        return place.number_input(title, 0, LARGEST, start, step=1, placeholder=ANYTHING, key=key)
    most = float(LARGEST)
    return place.number_input(title, -most, most, now, step=0.01, format="%g", placeholder=ANYTHING, key=key)


def _answer(query: FormQuery, space: str) -> None:
    try:
        question = query.question(space)
        page = services.store().find(question)
    except StoreInputError as error:
        st.warning(verbatim(error), icon=":material/error:")
        return
    noun = "architecture fits" if page.total == 1 else "architectures fit"
    shown = f"; the first {len(page.rows):,} are shown" if len(page.rows) < page.total else ""
    st.markdown(f"**{page.total:,}** {noun}{shown}.")
    if not page.rows:
        st.info("No architecture matches. Widen a range or remove a rule.", icon=":material/search_off:")
        return
    table = tables.architectures_frame([found.summary for found in page.rows])
    if query.kind is not None:
        position = question.quantities.index(query.kind.kind)
        table["score"] = pd.array([found.values[position] for found in page.rows], dtype="Float64")
    columns = [name for name in SHOWN if name in table]
    components.architecture_table(table, columns, space, "query_table", height=480)
