"""Build: edit an architecture layer by layer and see its size, nearest neighbours and predicted score."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import streamlit as st

from explorer.analysis.score_kinds import TitledKind
from explorer.app import navigation
from explorer.app.build import building, expected_score, layer_editor, train_form
from explorer.app.shared import components, downloads, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import ExplorerError, InputError, SpecError
from explorer.library.library import Library
from explorer.library.records import architecture_record
from explorer.library.settings import is_finished, kernel_text
from explorer.plots import architecture_graph
from explorer.space import drafts as drafting
from explorer.space.drafts import Draft
from explorer.space.formats import to_model_dict
from explorer.space.grammar import DesignSpace
from explorer.space.named import find_named, named_models
from explorer.space.spec import ArchitectureSpec
from graphstore.errors import NotFoundError, StoreError
from graphstore.records import ArchitectureRecord, SpaceRecord

MODEL = layer_editor.MODEL
MOST_DRAWN = 2_000
"""Most nodes of a graph that is drawn."""


@components.page
def render() -> None:
    """Draw the page."""
    components.head("build")
    space = components.pick_space()
    grammar = building.grammar_of(space)
    draft = _current(space, grammar)
    _begin(space, grammar)
    if draft is None:
        st.info("Start from a named model, an id, or a pasted model_dict.", icon=":material/construction:")
        return
    left, right = st.columns([5, 2], gap="medium")
    with left:
        layer_editor.render(draft, grammar)
    spec, errors = drafting.read_draft(draft)
    with right:
        record = _verdict(spec, errors, space, grammar)
    if spec is None or record is None:
        return
    st.subheader("Graph")
    _graph(record)
    library = services.library(space)
    if library is None:
        st.info(
            f"Nearest neighbours and the predicted score appear once the library of {space.name} is finished: "
            f"{components.how_to_finish(space.name)}.",
            icon=":material/hourglass_empty:",
        )
        return
    scores = services.scores(space.name)
    st.subheader("Nearest known architectures")
    picked = components.pick_kind(scores, "Scores to show and to learn from", "build_series")
    _nearest(library, spec, picked, record)
    st.subheader("Expected score")
    expected_score.render(library, spec, picked, record)
    st.subheader("Train it")
    train_form.render(space, spec)


def _current(space: SpaceRecord, grammar: DesignSpace | None) -> Draft | None:
    """Return the draft in the URL: its model, else the architecture it names, else a default one of the space."""
    text = st.query_params.get(MODEL)
    if text is not None:
        try:
            return drafting.unpack(text)
        except SpecError as error:
            st.warning(verbatim(error), icon=":material/link_off:")
    draft = None
    wanted = st.query_params.get("id", "")
    if wanted:
        try:
            draft = drafting.draft_of(_named(wanted, space.name))
        except InputError as error:
            st.warning(verbatim(error), icon=":material/search_off:")
    draft = draft or building.first_draft(space, grammar)
    if draft is not None:
        layer_editor.write(draft)
    return draft


def _named(text: str, space: str) -> ArchitectureSpec:
    """Return the architecture that a visitor means; see ``services.find_architecture``, also for errors."""
    return services.find_architecture(text, services.architectures(space)).spec


def _begin(space: SpaceRecord, grammar: DesignSpace | None) -> None:
    """Show the starting points: a stored, a named, a default or a pasted architecture."""
    stored, named, plain = st.columns([3, 3, 2], vertical_alignment="bottom")

    def start(make: Callable[[], ArchitectureSpec | Draft | None]) -> None:
        try:
            found = make()
        except (ExplorerError, StoreError) as error:
            st.session_state["build_refused"] = str(error)
            return
        if found is not None:
            layer_editor.write(found if isinstance(found, Draft) else drafting.draft_of(found))

    def from_typed() -> None:
        text = str(st.session_state["build_from"]).strip()
        st.session_state["build_from"] = ""
        if text:
            start(lambda: _named(text, space.name))

    def from_named() -> None:
        name = st.session_state["build_named"]
        st.session_state["build_named"] = None
        if name:
            start(lambda: find_named(str(name)))

    stored.text_input(
        "Start from an id, an id prefix, or a name",
        max_chars=services.LONGEST_NAME,
        key="build_from",
        on_change=from_typed,
    )
    named.selectbox(
        "… or a published model",
        list(named_models()),
        index=None,
        placeholder="Choose one",
        key="build_named",
        on_change=from_named,
    )
    plain.button(
        f"New from {space.name}",
        icon=":material/note_add:",
        key="build_blank",
        on_click=start,
        args=(lambda: building.first_draft(space, grammar),),
        width="stretch",
    )
    with st.expander("Paste a model_dict", icon=":material/content_paste:"):
        st.text_area(
            "JSON, one operation per layer or per head",
            max_chars=drafting.LONGEST_PASTE,
            key="build_pasted",
            placeholder=json.dumps(to_model_dict(named_models()["BERT-Tiny"])),
        )
        st.button(
            "Read it",
            icon=":material/input:",
            key="build_read",
            on_click=lambda: start(lambda: drafting.read_pasted(str(st.session_state["build_pasted"] or ""))),
        )
    refused = st.session_state.pop("build_refused", None)
    if refused:
        components.show_error(refused)


def _verdict(
    spec: ArchitectureSpec | None, errors: list[SpecError], space: SpaceRecord, grammar: DesignSpace | None
) -> ArchitectureRecord | None:
    """Show whether the draft is valid, and its facts."""
    if spec is None:
        st.error(
            f"**Not a valid architecture: {len(errors)} error{'s' if len(errors) > 1 else ''} to correct.**\n\n"
            + "\n".join(f"* {verbatim(error)}" for error in errors),
            icon=":material/error:",
        )
        st.caption("Size, graph and prediction appear as soon as every layer is valid.")
        return None
    record = architecture_record(spec)
    try:
        record = dataclasses.replace(record, name=services.architecture(record.id).name)
        is_stored = True
    except NotFoundError:
        is_stored = False
    st.markdown(f"#### {verbatim(record.name or record.id[:8])}")
    first, second = st.columns(2)
    first.metric("Layers", spec.depth)
    size = components.compact(record.parameters)
    second.metric("Parameters", size, help=f"{record.parameters:,}. {components.PARAMETERS_HELP}")
    first.metric("FLOPs", components.compact(record.flops), help=components.FLOPS_HELP)
    second.metric("Heterogeneity", f"{record.heterogeneity:.2f}", help=components.HETEROGENEITY_HELP)
    _membership(spec, space, grammar, record.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        if is_stored:
            navigation.link("architecture", record.id, space.name, "Open its page")
        st.download_button(
            "JSON",
            json.dumps(to_model_dict(spec), indent=1) + "\n",
            file_name=f"{record.id[:8]}.json",
            mime="application/json",
            icon=downloads.ICON,
            type="tertiary",
            on_click="ignore",
            key="build_json",
            help="Download the model_dict; every archex command reads it",
        )
    with st.expander("model_dict"):
        st.code(json.dumps(to_model_dict(spec)), language=None, wrap_lines=True)
    return record


def _membership(spec: ArchitectureSpec, space: SpaceRecord, grammar: DesignSpace | None, id: str) -> None:
    in_library = id in services.architectures(space.name).index
    if in_library:
        st.success(f"It is one of the architectures of {space.name}.", icon=":material/check_circle:")
        return
    # Architectures can only be added to a space with a finished library.
    added = f" Queueing it for training adds it to {space.name}." if is_finished(space.info) else ""
    if grammar is None:
        st.info(f"It is new to {space.name}.{added}", icon=":material/fiber_new:")
        return
    reason = building.outside(grammar, spec)
    if reason is None:
        text = f"It fits the grammar of {space.name} and is new to its library.{added}"
        st.success(text, icon=":material/check_circle:")
        return
    if added:
        added = f" You can still train it: it is then added to {space.name} as an architecture of your own."
    text = f"It is outside the grammar of {space.name}, where {verbatim(reason)}.{added}"
    st.info(text, icon=":material/fence:")


def _graph(record: ArchitectureRecord) -> None:
    if len(record.ops) > MOST_DRAWN:
        st.info(f"Its graph has {len(record.ops):,} nodes, too many to draw.", icon=":material/info:")
        return
    figure = architecture_graph(record.ops, record.feeds, record.layers)
    downloads.figure(figure, f"graph-{record.id[:8]}", "build_graph", alt="Computational graph")


def _nearest(library: Library, spec: ArchitectureSpec, picked: TitledKind | None, record: ArchitectureRecord) -> None:
    table = building.nearest_table(library, spec, None if picked is None else picked.kind)
    if table.empty:
        st.info(f"{library.name} has no other architecture.", icon=":material/info:")
        return
    table.insert(0, downloads.LINKS, components.addresses(table.index, library.name))
    shown = [downloads.LINKS, "dissimilarity", "label", "score", "difference", "parameters"]
    if picked is None:
        shown.remove("score")
    downloads.table(
        table[shown],
        f"nearest-{record.id[:8]}",
        "build_nearest",
        column_config={
            **components.COLUMNS,
            "dissimilarity": st.column_config.NumberColumn("dissimilarity", format="%.4f", width="small"),
        },
        hide_index=True,
        placeholder=components.UNKNOWN,
    )
    st.caption(
        f"Dissimilarity by the kernel of {library.name} ({kernel_text(library.info)}): 0 for equal graphs, at most 1."
    )
    ids = [str(id) for id in table.index[:2]]
    parameters = {"ids": ",".join(ids), "space": library.name, "model": st.query_params.get(MODEL, "")}
    title, icon = "Compare it with the nearest: layers, graphs and patterns", navigation.PAGES["compare"][1]
    st.page_link(navigation.page("compare"), label=title, icon=icon, query_params=parameters)
