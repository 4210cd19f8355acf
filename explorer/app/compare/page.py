"""Compare: two to six architectures side by side."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from explorer.analysis import comparison as aligned
from explorer.app import navigation
from explorer.app.compare import comparison
from explorer.app.compare.comparison import Chosen
from explorer.app.shared import address, components, downloads, frames, services, similarity
from explorer.app.shared.markdown import verbatim, with_verbatim_names
from explorer.library.settings import kernel_text
from explorer.plots import DrawnGraph, dissimilarity_map, graphs_side_by_side, scores_side_by_side
from explorer.similarity.graph import build_graph
from explorer.space.drafts import LONGEST_TEXT
from graphstore.records import SpaceRecord

IDS, MODEL, ONE = "ids", "model", "id"
"""URL parameters: ids or names separated by commas; an edited architecture of the Build page; the first one."""
MOST_OFFERED, SUGGESTED = 300, 3
PICKER, TYPED = "compare_chosen", "compare_typed"
PATTERNS_SHOWN = 60


@components.page
def render() -> None:
    """Draw the page."""
    components.head("compare")
    record = components.pick_space()
    space = record.name
    known = services.architectures(space)
    chosen, wrong = _asked(known)
    for sentence in wrong:
        st.warning(verbatim(sentence), icon=":material/search_off:")
    _choose(chosen, known, space)
    if len(chosen) < aligned.FEWEST:
        left = aligned.FEWEST - len(chosen)
        more = "one more" if left == 1 else "two or more"
        st.info(
            f"Select {more} of {len(known):,} architectures, at most {aligned.MOST} in all, or follow a Compare link "
            "on another page.",
            icon=":material/compare_arrows:",
        )
        _suggest(chosen, known, space)
        return
    st.caption(
        f"The others are compared with the first, **{verbatim(chosen[0].title)}**: ≠ different, = equal, + added."
    )
    _sizes(chosen)
    _scores(chosen)
    _layers(chosen)
    _graphs(chosen)
    _kernel(chosen, record)


def _asked(known: pd.DataFrame) -> tuple[list[Chosen], list[str]]:
    stated = st.query_params
    asked = stated.get(IDS, "" if MODEL in stated else stated.get(ONE, ""))
    return comparison.gather(asked.split(","), stated.get(MODEL, "")[: LONGEST_TEXT + 1], known)


def _suggest(chosen: list[Chosen], known: pd.DataFrame, space: str) -> None:
    """Show a button that adds the best scored architectures, up to three in all."""
    ids = [one.id for one in chosen]
    best = _ranked(known, space)["score"].dropna().index[:SUGGESTED]
    added = [str(id) for id in best if id not in ids][: SUGGESTED - len(ids)]
    words = [one.id if one.stored else one.named for one in chosen]
    # An edited architecture has no id in the URL; its model is there instead.
    filled = ",".join(word for word in [*words, *added] if word)
    if len(ids) + len(added) >= aligned.FEWEST:
        label = f"Add the best scored ({len(added)})" if ids else f"Compare the {len(added)} best scored"
        st.button(label, icon=":material/trophy:", key="compare_best", on_click=address.write, args=(IDS, filled))


def _choose(chosen: list[Chosen], known: pd.DataFrame, space: str) -> None:
    """Show the selectors of the compared architectures; the selection is kept in the URL."""
    labels = {one.id: one.title for one in chosen}
    labels |= {id: text for id, text in _offered(known, space).items() if id not in labels}
    # An edited architecture has no id in the URL; its model is there instead.
    words = {one.id: one.id if one.stored else one.named for one in chosen}

    def write(asked: list[str]) -> None:
        plain = [word for id in asked if (word := words.get(id, id))]
        if len(plain) == len(asked):
            st.query_params.pop(MODEL, None)
        st.query_params.pop(ONE, None)
        address.write(IDS, ",".join(plain) or None)

    def picked() -> None:
        write(list(st.session_state[PICKER]))

    def typed() -> None:
        text = str(st.session_state[TYPED]).strip()[: services.LONGEST_NAME].replace(",", " ")
        st.session_state[TYPED] = ""
        if text:
            write([*words, text])

    left, right = st.columns([3, 2], vertical_alignment="bottom")
    st.session_state[PICKER] = [one.id for one in chosen]
    left.multiselect(
        "Architectures; the others are compared with the first",
        list(labels),
        format_func=lambda id: labels.get(id, id),
        max_selections=aligned.MOST,
        placeholder="Select scored or named ones",
        key=PICKER,
        on_change=picked,
    )
    right.text_input(
        "Add another by its id, an id prefix, or a known name",
        max_chars=services.LONGEST_NAME,
        key=TYPED,
        on_change=typed,
        disabled=len(chosen) >= aligned.MOST,
        placeholder="for example BERT-Tiny",
    )


def _offered(known: pd.DataFrame, space: str) -> dict[str, str]:
    """Return scored architectures, best first, and named ones: id → text."""
    table = _ranked(known, space)
    is_scored = table.index.isin(services.scores(space)["id"])
    table = table[table["score"].notna() | (table["name"] != "") | is_scored].head(MOST_OFFERED)
    return {
        str(id): label if score != score else f"{label} · {score:.4f}"
        for id, label, score in zip(table.index, table["label"], table["score"], strict=True)
    }


def _ranked(known: pd.DataFrame, space: str) -> pd.DataFrame:
    """Return the architectures with the space's first kind of ``score``, best first."""
    scores = services.scores(space)
    first = next((one.kind for one in frames.score_kinds(scores)), None)
    if first is None:
        return known.assign(score=float("nan"))
    values = frames.mean_scores(scores, first).reindex(known.index)
    return frames.best_first(known.assign(score=values), first.lower_is_better)


def _file(chosen: list[Chosen], what: str) -> str:
    return f"compare-{what}-{'-'.join(one.id[:6] for one in chosen)}"


def _sizes(chosen: list[Chosen]) -> None:
    st.subheader("Sizes and measurements")
    columns = st.columns(len(chosen))
    space = str(st.query_params.get("space", ""))
    for column, one in zip(columns, chosen, strict=True):
        with column:
            st.markdown(f"**{verbatim(one.title)}**")
            if one.stored:
                navigation.link("architecture", one.id, space, "Open")
                navigation.link("build", one.id, space, "Edit")
            else:
                st.caption("Not in the store.")
    measured = comparison.measurements(chosen)
    numbers = comparison.sizes(chosen)
    everything = pd.concat([numbers, measured]) if len(measured) else numbers
    everything.index.name = "quantity"
    st.table(with_verbatim_names(comparison.compared(everything)), border="horizontal")
    downloads.csv_button(everything, _file(chosen, "sizes"), "compare_sizes_csv")
    st.caption(
        f"Parameters: {components.PARAMETERS_HELP} FLOPs: {components.FLOPS_HELP} In brackets: the difference from the "
        "first one." + ("" if len(measured) else " None of them has been measured on a device yet.")
    )


def _scores(chosen: list[Chosen]) -> None:
    st.subheader("Scores")
    table = comparison.score_tables(chosen)
    if table.empty:
        st.info("None of them has a score yet.", icon=":material/hourglass_empty:")
        return
    titles = [(one.id, one.title) for one in chosen]
    downloads.figure(scores_side_by_side(table, titles), _file(chosen, "scores"), "compare_scores", alt="Scores")
    st.table(with_verbatim_names(comparison.wide_scores(table, chosen)), border="horizontal")
    downloads.csv_button(table, _file(chosen, "scores"), "compare_scores_csv")
    levels = table.dropna(subset=["majority", "chance"]).drop_duplicates("title")
    if len(levels):
        columns = zip(levels["title"], levels["majority"], levels["chance"], strict=True)
        texts = (f"{title} {majority:.4f} and {chance:.4f}" for title, majority, chance in columns)
        st.caption(verbatim(f"A constant and a random answer score: {'; '.join(texts)}."))
    lacking = [one.title for one in chosen if one.id not in set(table["id"])]
    note = f" No score yet: {verbatim(', '.join(lacking))}." if lacking else ""
    st.caption(
        "Mean over trained instances; the bar is their standard deviation, absent for a single instance. "
        f"Scores on one line are comparable.{note}"
    )


def _layers(chosen: list[Chosen]) -> None:
    st.subheader("Layer by layer")
    rows = aligned.aligned_layers([one.spec for one in chosen])
    # st.table instead of st.dataframe, because its cells wrap and render Markdown.
    st.table(with_verbatim_names(comparison.layer_rows(rows, chosen, marked=True)), border="horizontal")
    downloads.csv_button(
        comparison.layer_rows(rows, chosen, marked=False), _file(chosen, "layers"), "compare_layers_csv"
    )
    backbones = {one.title: one.spec.backbone for one in chosen}
    if len(set(backbones.values())) > 1:
        words = (f"{title}: {width if width else 'none'}" for title, width in backbones.items())
        st.caption(f"≠ The width between the layers (backbone) differs. {verbatim('; '.join(words))}.")
    st.caption("Layers are aligned to minimise the differences from the first architecture.")


def _graphs(chosen: list[Chosen]) -> None:
    st.subheader("Graphs")
    specs = [one.spec for one in chosen]
    marks = aligned.differing_nodes(specs)
    drawn = [DrawnGraph(one.title, build_graph(one.spec), nodes) for one, nodes in zip(chosen, marks, strict=True)]
    downloads.figure(graphs_side_by_side(drawn), _file(chosen, "graphs"), "compare_graphs", alt="Computational graphs")
    st.caption(
        "A ring marks a node that the aligned layer of the first architecture lacks; in the first one, a node "
        "that another one lacks."
    )


def _kernel(chosen: list[Chosen], space: SpaceRecord) -> None:
    st.subheader("Dissimilarity")
    library = services.library(space)
    if library is None:
        remedy = components.how_to_finish(space.name)
        text = f"Dissimilarities appear once the library of {space.name} is finished: {remedy}."
        st.info(text, icon=":material/hourglass_empty:")
        return
    titles = [one.title for one in chosen]
    values = library.dissimilarities([one.spec for one in chosen])
    left, right = st.columns(2, gap="large")
    with left:
        figure = dissimilarity_map(values, titles)
        downloads.figure(figure, _file(chosen, "dissimilarity"), "compare_kernel", alt="Dissimilarities")
        table = pd.DataFrame(values, index=pd.Index(titles, name="architecture"), columns=titles)
        downloads.csv_button(table, _file(chosen, "dissimilarity"), "compare_kernel_csv")
        st.caption(f"By the kernel of {space.name} ({kernel_text(space.info)}): 0 for equal graphs, at most 1.")
    with right:
        _why(chosen, space)


def _why(chosen: list[Chosen], space: SpaceRecord) -> None:
    titles = {one.title: one for one in chosen}
    here, there = st.columns(2)
    with here:
        first = titles[address.choice("Difference of …", list(titles), "first")]
    others = [title for title in titles if title != first.title]
    with there:
        second = titles[address.choice("… from", others, "second")]
    explanation = similarity.explain(space, first.spec, second.spec)
    if explanation is None:
        return
    different = explanation.different
    st.markdown(f"Similarity **{explanation.similarity:.4f}**, dissimilarity **{explanation.dissimilarity:.4f}**")
    if not different:
        st.caption("None: their graphs are equal.")
        return
    whole = similarity.pattern_table(different, [pattern.different for pattern in different])
    downloads.table(
        whole.head(PATTERNS_SHOWN),
        f"why-{first.id[:8]}-{second.id[:8]}",
        "compare_why",
        whole=whole,
        hide_index=True,
        height=320,
        column_config={
            "weight": st.column_config.ProgressColumn("weight", format="%.4f", max_value=float(whole["weight"].max())),
            "here": st.column_config.NumberColumn("first", width="small"),
            "there": st.column_config.NumberColumn("second", width="small"),
            "pattern": st.column_config.TextColumn("pattern", width="large"),
        },
    )
    st.caption(similarity.HOW_TO_READ)
