"""The computational graph of an architecture, and the facts of a clicked node."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from explorer.app.shared import address, downloads, frames
from explorer.plots import architecture_graph
from explorer.space.operations import operation_title
from graphstore.records import ArchitectureRecord, OpRecord

KEY = "architecture_graph"
NODE = "node"
"""URL parameter of the clicked node's number."""
KINDS = {
    "input": "the embedded tokens",
    "head": "an attention head",
    "add_norm": "adds the residual and normalises",
    "feed_forward": "a feed-forward layer",
    "bottleneck": "a linear map between two widths",
    "output": "the output of the encoder",
}


def render(record: ArchitectureRecord) -> None:
    """Draw the graph; clicking a node shows its facts below."""
    chosen = _chosen(record)
    downloads.figure(
        architecture_graph(record.ops, record.feeds, record.layers, chosen),
        f"{record.id[:8]}-graph",
        KEY,
        on_select=_select,
        selection_mode="points",
        alt="Computational graph",
    )
    has_convolution = any(layer.family == "c" for layer in record.layers)
    st.caption(
        "From input (left) to output (right), one box per layer. The curves below are residual connections. Hover "
        "over a node for its label; click it for its facts."
        + (" Half of the heads of a convolution layer are attention, as in ConvBERT." if has_convolution else "")
    )
    if chosen is not None:
        facts = node_facts(record, chosen)
        st.markdown(f"**Node {chosen}: `{record.ops[chosen].label}`**")
        st.table(facts, border="horizontal")


def _chosen(record: ArchitectureRecord) -> int | None:
    def known(text: str) -> bool:
        return text.isascii() and text.isdigit() and len(text) < 7 and int(text) < len(record.ops)

    stated = address.read(NODE, known, "Node")
    return None if stated is None else int(stated)


def _select() -> None:
    """Write the number of the clicked node to the URL; a click next to the nodes removes it."""
    state = st.session_state.get(KEY)
    points = state.selection.points if state is not None else []
    data = points[0].get("customdata") if points else None
    number = None
    if data:
        number = data[-1] if isinstance(data, list | tuple) else data["2"]
    address.write(NODE, None if number is None else str(number))


def node_facts(record: ArchitectureRecord, number: int) -> pd.Series:
    """Return the facts of a node; ``number`` is its position among the operations."""
    op = record.ops[number]
    before = [source for source, target in record.feeds if target == number]
    after = [target for source, target in record.feeds if source == number]
    facts = {"Kind": _kind(op)}
    layer = next((layer for layer in record.layers if layer.index == op.layer), None)
    if layer is not None:
        facts["Its layer"] = (
            f"{layer.index} of {len(record.layers)} (counted from 0): "
            f"{operation_title(f'{layer.family}_{layer.parameter}')}, hidden {layer.hidden}, {layer.heads} heads, "
            f"feed-forward {frames.stack_text(layer.feed_forward)}"
        )
    facts["Comes from"] = _nodes(record, before) or "nothing: the graph begins here"
    facts["Goes to"] = _nodes(record, after) or "nothing: the graph ends here"
    return pd.Series(facts, name="")


def _kind(op: OpRecord) -> str:
    parts = op.label.split("_")
    if op.kind == "head" and len(parts) >= 3:
        return f"a head: {operation_title(f'{parts[0]}_{parts[2]}')}, hidden {parts[1].removeprefix('h')}"
    return KINDS.get(op.kind, op.kind)


def _nodes(record: ArchitectureRecord, numbers: list[int]) -> str:
    """Return the node labels, with a count for repeated ones."""
    counts: dict[str, int] = {}
    for number in numbers:
        counts[record.ops[number].label] = counts.get(record.ops[number].label, 0) + 1
    return ", ".join(f"{count} × {label}" if count > 1 else label for label, count in counts.items())
