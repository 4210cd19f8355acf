"""Architecture: one architecture's graph, layers, scores and neighbours."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from explorer.analysis.tables import score_spread
from explorer.app import navigation
from explorer.app.architecture import export_view, graph_view, lineage_view, neighborhood
from explorer.app.shared import address, components, downloads, frames, services, similarity
from explorer.app.shared.markdown import verbatim
from explorer.errors import InputError
from explorer.library.settings import kernel_text
from explorer.plots.scores import scores_within_space
from explorer.space.formats import from_json
from graphstore.records import ArchitectureRecord, NeighborRecord

MOST_OFFERED = 500
"""Most architectures in the select box; any other can be entered by its id."""


@components.page
def render() -> None:
    """Draw the page."""
    components.head("architecture")
    space = components.pick_space().name
    architectures = services.architectures(space)
    scores = services.scores(space)
    id = _choose(architectures, scores)
    if id is None:
        return
    record = services.architecture(id)
    home = services.space_of(record.id, space)
    if home is not None and home != space:
        st.caption(f"It is not in {space}; the neighbours shown are those in {home}.")
        space, architectures, scores = home, services.architectures(home), services.scores(home)
    _facts(record)
    found = services.neighbors(space, record.id)
    _links(record, home, [neighbor.target for neighbor in found])
    st.subheader("Graph")
    graph_view.render(record)
    st.subheader("Layers")
    downloads.table(
        frames.layer_table(record.layers), f"{record.id[:8]}-layers", "architecture_layers", hide_index=True
    )
    st.subheader("Scores")
    _scores(record, scores)
    st.subheader("Measurements")
    _measurements(record)
    st.subheader("Lineage")
    lineage_view.render(record, space)
    st.subheader("Most similar architectures")
    _neighbors(record, architectures, scores, space, found)
    similarity.render(record, found, architectures, services.space(space))
    st.subheader("Export")
    export_view.render(record)
    with st.expander("model_dict"):
        st.code(record.spec, language=None, wrap_lines=True)


def _choose(architectures: pd.DataFrame, scores: pd.DataFrame) -> str | None:
    """Show the selectors of a stored architecture, kept in the URL as ``id``; return its id."""
    left, right = st.columns(2)
    stated = st.query_params.get("id", "")
    # One key per URL, written on change, so that the browser's Back returns to the previous view.
    typed_key, picked_key = f"architecture_typed_{stated}", f"architecture_picked_{stated}"

    def go(key: str) -> None:
        asked = str(st.session_state[key] or "").strip()
        # Expanded nodes of another architecture do not exist in this one.
        for name in (graph_view.NODE, neighborhood.EXPANDED, similarity.PARAMETER):
            st.query_params.pop(name, None)
        try:
            address.write("id", services.find_architecture(asked, architectures).id if asked else None)
        except InputError:
            address.write("id", asked)  # the page then shows the error

    left.text_input(
        "Id, its first 6 or more characters, or a known name",
        value=stated,
        max_chars=services.LONGEST_NAME,
        key=typed_key,
        on_change=go,
        args=(typed_key,),
    )
    offered = _offered(architectures, scores)
    labels = dict(zip(offered.index, offered["shown"], strict=True))
    right.selectbox(
        "Or select a scored or named one",
        list(labels),
        index=None,
        format_func=lambda id: labels.get(id, id),
        placeholder="Best first" if labels else "None is scored or named yet",
        disabled=not labels,
        key=picked_key,
        on_change=go,
        args=(picked_key,),
    )
    if not stated.strip():
        st.info(
            "Enter an architecture, select one from the list, or click one on the Space page.", icon=":material/info:"
        )
        return None
    try:
        found = services.find_architecture(stated, architectures)
    except InputError as error:
        st.warning(verbatim(error), icon=":material/search_off:")
        return None
    if not found.stored:
        st.warning(
            f"{verbatim(found.label)} is not in the store. The page Build can open it.", icon=":material/search_off:"
        )
        return None
    return found.id


def _offered(architectures: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return scored architectures, best first, then named ones, with a column ``shown`` for the select box."""
    first = next((one.kind for one in frames.score_kinds(scores)), None)
    table = architectures[["label", "name", "operations", "parameters"]].copy()
    table["score"] = float("nan") if first is None else frames.mean_scores(scores, first).reindex(table.index)
    table = table[table["score"].notna() | (table["name"] != "") | table.index.isin(scores["id"])]
    table = frames.best_first(table, first is not None and first.lower_is_better).head(MOST_OFFERED)
    values = ["" if value != value else f"{value:.4f} · " for value in table["score"]]
    table["shown"] = [
        f"{value}{label} · {operations}"
        for value, label, operations in zip(values, table["label"], table["operations"], strict=True)
    ]
    return table


def _facts(record: ArchitectureRecord) -> None:
    st.markdown(f"#### {verbatim(record.name or record.id[:8])}")
    st.caption(f"Id `{record.id}`")
    columns = st.columns(4)
    columns[0].metric("Layers", len(record.layers), border=True)
    columns[1].metric("Parameters", f"{record.parameters:,}", help=components.PARAMETERS_HELP, border=True)
    columns[2].metric("FLOPs", components.compact(record.flops), help=components.FLOPS_HELP, border=True)
    columns[3].metric("Heterogeneity", f"{record.heterogeneity:.2f}", help=components.HETEROGENEITY_HELP, border=True)


def _links(record: ArchitectureRecord, home: str | None, neighbors: list[str]) -> None:
    """Show links to other pages; an architecture outside all spaces has no map but can be edited."""
    with st.container(horizontal=True):
        if home is not None:
            navigation.link("space", record.id, home, "Show it on the map")
            navigation.link("heterogeneity", record.id, home, "Compare its layers with the best")
            navigation.link("build", record.id, home, "Build on it")
            if neighbors:
                navigation.compare_link([record.id, *neighbors[:2]], home, "Compare with the two most similar")


def _scores(record: ArchitectureRecord, scores: pd.DataFrame) -> None:
    own = scores[scores["id"] == record.id]
    if own.empty:
        st.info("It has no score yet.", icon=":material/hourglass_empty:")
        return
    spread = score_spread(scores)
    spread = spread[spread["id"] == record.id].drop(columns=["id", "kind"]).reset_index(drop=True)
    means = scores.groupby(["title", "id"], sort=False)["value"].mean().rename("score").reset_index()
    others = means[means["id"] != record.id]
    unknown = [level for level in ("majority", "chance") if spread[level].isna().all()]
    name = f"{record.id[:8]}-scores"
    downloads.figure(scores_within_space(spread, others), name, "architecture_score_bars", alt="Scores with error bars")
    downloads.table(
        spread.drop(columns=["note", *unknown]),
        name,
        "architecture_spread",
        spread,
        hide_index=True,
        placeholder=components.UNKNOWN,
        column_config={
            "title": st.column_config.TextColumn("task"),
            "mean": st.column_config.NumberColumn("mean", format="%.4f"),
            "deviation": st.column_config.NumberColumn(
                "± deviation", format="%.4f", help="Standard deviation over its runs; unknown for a single run."
            ),
            "majority": st.column_config.NumberColumn(
                "majority", format="%.4f", help="Score of a constant answer: the most frequent class, or the mean."
            ),
            "chance": st.column_config.NumberColumn(
                "chance", format="%.4f", help="Mean score of random answers with the frequencies of the train labels."
            ),
            "runs": st.column_config.NumberColumn("runs", help="Number of scores in the mean, over seeds and sources."),
            "rank": st.column_config.NumberColumn("rank", help="Rank by mean score; 1 is the best."),
            "scored": st.column_config.NumberColumn("of", help="Number of architectures of the space with this score."),
        },
    )
    notes = [f"{title} {note}" for title, note in zip(spread["title"], spread["note"], strict=True) if note]
    if notes:
        text = f"{', '.join(notes)}: an answer without a look at the text does as well."
        st.warning(verbatim(text), icon=":material/exclamation:")
    with st.expander(f"Every run ({len(own)})"):
        downloads.table(
            own[["title", "metric", "value", "seed", "source", "fidelity", "seconds", "majority", "chance"]].drop(
                columns=unknown
            ),
            f"{name}-runs",
            "architecture_scores",
            hide_index=True,
            column_config={
                "title": st.column_config.TextColumn("task"),
                "value": st.column_config.NumberColumn("value", format="%.4f"),
                "source": st.column_config.TextColumn("source", help="The trial of a study, or a published table."),
                "fidelity": st.column_config.TextColumn("fidelity", help="The amount of training behind it."),
                "seconds": st.column_config.NumberColumn("seconds", format="%.1f"),
            },
            placeholder=components.UNKNOWN,
        )


def _measurements(record: ArchitectureRecord) -> None:
    found = services.store().measurements(architecture=record.id)
    if not found:
        st.caption(
            "It has no measurements. `archex measure` measures latency and memory on the machine it runs on; "
            "`archex import` adds measurements from elsewhere."
        )
        return
    table = pd.DataFrame([(one.device, one.quantity, one.value, one.unit) for one in found])
    table.columns = pd.Index(["device", "quantity", "value", "unit"])
    downloads.table(
        table,
        f"{record.id[:8]}-measurements",
        "architecture_measurements",
        hide_index=True,
        column_config={"value": st.column_config.NumberColumn("value", format="%.6g")},
    )


def _neighbors(
    record: ArchitectureRecord,
    architectures: pd.DataFrame,
    scores: pd.DataFrame,
    space: str,
    found: list[NeighborRecord],
) -> None:
    if not found and len(architectures) == 1:
        st.info(f"It is the only architecture of {space}.", icon=":material/info:")
        return
    if not found:
        st.info(
            f"Its neighbours in {space} are not known yet; {components.how_to_finish(space)}.",
            icon=":material/hourglass_empty:",
        )
        return
    picked = components.pick_kind(scores, "Scores to show", "architecture_series")
    neighborhood.render(record.id, space, scores, picked)
    known = None if picked is None else frames.mean_scores(scores, picked.kind)
    table = frames.neighbor_table(found, architectures, known)
    table["difference"] = similarity.differences(from_json(record.spec), table.index)
    columns = ["rank", "dissimilarity", "label", "score", "difference", "operations", "hiddens", "parameters"]
    if picked is None:
        columns.remove("score")
    components.architecture_table(table, columns, space, "architecture_neighbors", height=420)
    kernel = kernel_text(services.space(space).info)
    st.caption(f"Dissimilarity by the kernel of {space} ({kernel}): 0 for equal graphs, at most 1.")
    if picked is not None and table["score"].isna().all():
        st.info(
            "None of them has this score yet. Open one on the Build page to train it.",
            icon=":material/model_training:",
        )
