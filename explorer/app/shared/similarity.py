"""Explanation of a similarity: the layers of two architectures side by side, and the patterns of the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
import streamlit as st

from explorer.app.shared import address, downloads, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import InputError
from explorer.similarity.explanation import Explanation, PatternWeight
from explorer.space.difference import Change, Difference, difference, layer_words
from explorer.space.formats import from_json
from explorer.space.spec import ArchitectureSpec
from graphstore.records import ArchitectureRecord, NeighborRecord, SpaceRecord

PARAMETER = "with"
"""URL parameter of the architecture to compare with."""
LONGEST_WORDS = 400
"""Longest text of a difference in a table, in characters."""
SHOWN = 200
"""Rows of a table of patterns; the others are summed up below it."""
CHANGES = {
    Change.SAME: "same",
    Change.CHANGED: "changed",
    Change.REMOVED: "only in this one",
    Change.ADDED: "only in the other",
}
HOW_TO_READ = (
    "A pattern is an operation and what follows it: `c_h128_5 → add_norm_h128` is a convolution head of kernel 5 at "
    "hidden size 128 whose result is added and normalised. `2 × a + b → c` are three operations that all lead to c; "
    "`[…; …]` holds what follows on several ways, such as through the feed-forward stack and past it."
)


def render(
    record: ArchitectureRecord, neighbors: Sequence[NeighborRecord], known: pd.DataFrame, space: SpaceRecord
) -> None:
    """Let the visitor choose a neighbour or any other architecture, and explain the similarity of the two.

    Args:
        record: the architecture of the page.
        neighbors: its neighbours, by rank; may be empty.
        known: architectures of the space, as ``services.architectures`` returns them.
        space: the space, whose kernel is explained.
    """
    chosen = _choose(record, neighbors, known)
    if chosen is None:
        return
    title, other = chosen
    spec = from_json(record.spec)
    st.markdown(f"**Layer by layer**, this one and {title}")
    # A table rather than a data frame, because its cells wrap.
    rows = layer_table(difference(spec, other), spec, other)
    name = f"{record.id[:8]}-and-{title}"
    st.table(rows, border="horizontal")
    downloads.csv_button(rows.rename_axis("change"), f"{name}-layers", "why_layers_csv")
    explanation = explain(space, spec, other)
    if explanation is None:
        return
    left, right = st.columns(2)
    left.metric("Similarity", f"{explanation.similarity:.4f}", border=True, help="1 for equal graphs.")
    right.metric("Dissimilarity", f"{explanation.dissimilarity:.4f}", border=True, help="1 − similarity.")
    different, shared = explanation.different, explanation.shared
    weights = [pattern.different for pattern in different]
    heading = f"Patterns that differ: {explanation.dissimilarity:.4f} in total"
    _patterns(heading, different, weights, "why_different", f"{name}-different")
    weights = [pattern.shared for pattern in shared]
    heading = f"Shared patterns: {explanation.similarity:.4f} in total"
    _patterns(heading, shared, weights, "why_shared", f"{name}-shared")
    st.caption(HOW_TO_READ)


def explain(space: SpaceRecord, first: ArchitectureSpec, second: ArchitectureSpec) -> Explanation | None:
    """Explain a similarity by the kernel of a space; draw the reason and return ``None`` if that is not possible."""
    library = services.library(space)
    if library is None:
        st.info(f"The patterns appear once the library of {space.name} is finished.", icon=":material/hourglass_empty:")
        return None
    try:
        return library.explain(first, second)
    except InputError as error:
        st.info(verbatim(error), icon=":material/info:")
        return None


def differences(spec: ArchitectureSpec, ids: Iterable[str]) -> list[str]:
    """Describe how each stored architecture differs from another one; see ``difference_words``."""
    ids = [str(id) for id in ids]
    others = {one.id: from_json(one.spec) for one in services.store().summaries(ids=ids)}
    return [difference_words(spec, others[id]) for id in ids]


def difference_words(spec: ArchitectureSpec, other: ArchitectureSpec) -> str:
    """Describe how another architecture differs, layer by layer, in one line."""
    words = [step.words for step in difference(spec, other).steps if step.change is not Change.SAME]
    if spec.backbone != other.backbone:
        words.insert(0, f"backbone {spec.backbone or 'none'} to {other.backbone or 'none'}")
    text = "; ".join(words) or "none"
    return text if len(text) <= LONGEST_WORDS else text[: LONGEST_WORDS - 1] + "…"


def _choose(
    record: ArchitectureRecord, neighbors: Sequence[NeighborRecord], known: pd.DataFrame
) -> tuple[str, ArchitectureSpec] | None:
    """Show the selectors of the other architecture, kept in the URL; return its title and specification."""
    asked = st.query_params.get(PARAMETER, "")
    offered = {n.target: n for n in neighbors if n.target in known.index}
    labels = {
        id: f"{n.rank}. {label} ({n.dissimilarity:.4f})"
        for (id, n), label in zip(offered.items(), known.loc[list(offered), "label"], strict=True)
    }
    left, right = st.columns(2)
    # One key per URL, written on change, so that the browser's Back returns to the previous view.
    picked_key, typed_key = (f"why_{how}_{record.id}_{asked}" for how in ("picked", "typed"))

    def go(key: str) -> None:
        address.write(PARAMETER, str(st.session_state[key] or "").strip() or None)

    left.selectbox(
        "Why is it similar to …",
        list(labels),
        index=list(offered).index(asked) if asked in offered else None,
        format_func=lambda id: labels[id],
        placeholder="Choose a neighbour" if offered else "It has no neighbours yet",
        disabled=not offered,
        key=picked_key,
        on_change=go,
        args=(picked_key,),
    )
    right.text_input(
        "… or any other, by its id or a known name",
        value="" if asked in offered else asked,
        max_chars=services.LONGEST_NAME,
        key=typed_key,
        on_change=go,
        args=(typed_key,),
    )
    text = asked.strip()[: services.LONGEST_NAME]
    if not text:
        return None
    try:
        other = services.find_architecture(text, known)
    except InputError as error:
        st.warning(verbatim(error), icon=":material/search_off:")
        return None
    return other.label, other.spec


def layer_table(layers: Difference, first: ArchitectureSpec, second: ArchitectureSpec) -> pd.DataFrame:
    """One row per step of the alignment, indexed by what happened, with both layers in words and what changes."""
    rows = []
    for step in layers.steps:
        one, two = (
            "" if index is None else f"{index}: {layer_words(spec.layers[index])}"
            for index, spec in ((step.first, first), (step.second, second))
        )
        rows.append((CHANGES[step.change], one, two, "; ".join(field.words for field in step.fields)))
    return pd.DataFrame(rows, columns=["", "this one", "the other one", "difference"]).set_index("")


def pattern_table(patterns: Sequence[PatternWeight], weights: Sequence[float]) -> pd.DataFrame:
    """One row per pattern: ``weight, here, there, pattern``."""
    rows = [(weight, p.first, p.second, p.pattern) for p, weight in zip(patterns, weights, strict=True)]
    return pd.DataFrame(rows, columns=["weight", "here", "there", "pattern"])


def _patterns(title: str, patterns: Sequence[PatternWeight], weights: Sequence[float], key: str, name: str) -> None:
    st.markdown(f"**{title}**")
    if not patterns:
        st.caption("Nothing.")
        return
    table = pattern_table(patterns[:SHOWN], weights[:SHOWN])
    downloads.table(
        table,
        name,
        key,
        pattern_table(patterns, weights),
        hide_index=True,
        height=min(320, 38 + 35 * len(table)),
        column_config={
            "weight": st.column_config.ProgressColumn("weight", format="%.4f", max_value=max(weights), width="small"),
            "here": st.column_config.NumberColumn("in this one", width="small"),
            "there": st.column_config.NumberColumn("in the other", width="small"),
            "pattern": st.column_config.TextColumn("pattern", width="large"),
        },
    )
    if len(patterns) > SHOWN:
        st.caption(f"{len(patterns) - SHOWN} more patterns weigh {sum(weights[SHOWN:]):.4f} together.")
