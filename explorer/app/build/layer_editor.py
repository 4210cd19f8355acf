"""The fields and buttons that edit a draft on the Build page; the draft is kept in the URL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import streamlit as st

from explorer.app.build import building
from explorer.app.shared import address
from explorer.app.shared.css import BUILD_LAYERS
from explorer.errors import SpecError
from explorer.space import drafts as drafting
from explorer.space.drafts import MIXED, Draft, LayerDraft
from explorer.space.grammar import DesignSpace
from explorer.space.operations import operation_title
from explorer.space.spec import MAX_HEADS, MAX_HIDDEN, MAX_LAYERS

MODEL = "model"
"""URL parameter of the draft's text."""
GROUP = 12
"""Layers shown on one page of the editor."""
WIDTHS = [0.3, 4.0, 1.2, 1.3, 1.7, 0.45, 0.45, 0.45, 0.45]


def write(draft: Draft) -> None:
    """Write a draft to the URL, replacing its starting point."""
    text = drafting.pack(draft)
    if len(text) > drafting.LONGEST_TEXT:
        st.session_state["build_refused"] = "This architecture is too long for a URL."
        return
    st.query_params[MODEL] = text
    st.query_params.pop("id", None)


def render(draft: Draft, grammar: DesignSpace | None) -> None:
    """Show the editor."""
    st.subheader("Layers, input to output")
    round = _round(drafting.pack(draft))
    first = 0
    if len(draft.layers) > GROUP:
        starts = list(range(0, len(draft.layers), GROUP))
        ends = {start: min(start + GROUP, len(draft.layers)) - 1 for start in starts}
        first = address.segments("Layers shown", starts, "layers", title=lambda start: f"{start} to {ends[start]}")
    offered = building.operations(grammar, draft)
    with st.container(key=BUILD_LAYERS):
        for index in range(first, min(first + GROUP, len(draft.layers))):
            _row(draft, index, offered, f"build_{round}_{index}", index == first)
    add, backbone = st.columns([2, 1], vertical_alignment="bottom")
    add.button(
        "Add a layer",
        icon=":material/add:",
        key="build_add",
        on_click=_edit,
        args=(lambda now: drafting.added(now, now.layers[-1]),),
        disabled=len(draft.layers) >= MAX_LAYERS,
        help="A copy of the last layer, before the output.",
    )
    key = f"build_{round}_backbone"
    backbone.number_input(
        "Backbone",
        1,
        MAX_HIDDEN,
        draft.backbone,
        placeholder="none",
        key=key,
        on_change=_typed,
        args=(lambda now: dataclasses.replace(now, backbone=_size(key)),),
        help="Width between the layers if each has an input and an output bottleneck, as in SuperShaper's shapes.",
    )
    if grammar is not None:
        st.caption(building.choices_text(grammar))


def _round(text: str) -> int:
    """Count changes of the draft by anything but its fields, which are then reset."""
    if st.session_state.get("build_shown") != text:
        st.session_state["build_shown"] = text
        st.session_state["build_round"] = int(st.session_state.get("build_round", 0)) + 1
    return int(st.session_state["build_round"])


def _row(draft: Draft, index: int, offered: list[str], key: str, is_first: bool) -> None:
    layer = draft.layers[index]
    number, operation, hidden, heads, stack, *buttons = st.columns(WIDTHS, vertical_alignment="bottom", gap="small")
    number.markdown(f"**{index}**")

    def field(title: str, name: str, read: Callable[[str], Any]) -> dict[str, Any]:
        """Return the arguments that all fields share; the input becomes the layer's attribute of this name."""
        own = f"{key}_{name}"
        return {
            # Each field has a label for screen readers; the visible labels are the column headers.
            "label": title if is_first else f"{title} of layer {index}",
            "label_visibility": "visible" if is_first else "collapsed",
            "key": own,
            "on_change": _typed,
            "args": (_setter(index, lambda now: _changed(now, name, read(own))),),
        }

    operation.selectbox(
        options=offered,
        index=offered.index(layer.operation),
        format_func=lambda value: "mixed, per head" if value == MIXED else operation_title(value),
        **field("Operation", "operation", lambda own: str(st.session_state[own])),
    )
    longest = drafting.LONGEST_FIELD
    hidden.number_input(min_value=1, max_value=MAX_HIDDEN, value=layer.hidden, **field("Hidden", "hidden", _size))
    if layer.operation == MIXED:
        hint = "2 × sa_sdp_64, 2 × c_5_64"
        heads.text_input(value=layer.mix, max_chars=longest, placeholder=hint, **field("Heads", "mix", _text))
    else:
        heads.number_input(min_value=1, max_value=MAX_HEADS, value=layer.heads, **field("Heads", "heads", _size))
    stack.text_input(
        value=layer.stack, max_chars=longest, placeholder="512, 512", **field("Feed-forward", "stack", _text)
    )
    depth = len(draft.layers)
    actions: list[tuple[str, str, bool, Callable[[Draft], Draft]]] = [
        ("arrow_upward", "Move layer {} towards the input", index == 0, lambda now: drafting.moved(now, index, -1)),
        (
            "arrow_downward",
            "Move layer {} towards the output",
            index == depth - 1,
            lambda now: drafting.moved(now, index, 1),
        ),
        ("content_copy", "Duplicate layer {}", depth >= MAX_LAYERS, lambda now: drafting.duplicated(now, index)),
        ("delete", "Delete layer {}", depth == 1, lambda now: drafting.removed(now, index)),
    ]
    for place, (icon, label, is_off, act) in zip(buttons, actions, strict=True):
        place.button(
            label.format(index),
            icon=f":material/{icon}:",
            # Keep the key constant across reruns so that keyboard focus stays on the button.
            key=f"build_{index}_{icon}",
            help=label.format(index),
            on_click=_edit,
            args=(act,),
            disabled=is_off,
            type="tertiary",
        )


def _edit(change: Callable[[Draft], Draft]) -> None:
    """Change the draft in the URL, even if the page shows a different one by now."""
    try:
        write(change(drafting.unpack(st.query_params.get(MODEL, ""))))
    except SpecError:
        return


def _typed(change: Callable[[Draft], Draft]) -> None:
    """Change the draft in the URL where the fields already show the change."""
    _edit(change)
    st.session_state["build_shown"] = st.query_params.get(MODEL, "")


def _setter(index: int, change: Callable[[LayerDraft], LayerDraft]) -> Callable[[Draft], Draft]:
    def changed(draft: Draft) -> Draft:
        return drafting.with_layer(draft, index, change(draft.layers[index])) if index < len(draft.layers) else draft

    return changed


def _changed(layer: LayerDraft, name: str, value: Any) -> LayerDraft:
    """Return the layer with another value; per-head editing lists its heads."""
    if (name, value) == ("operation", MIXED) and not layer.mix:
        try:
            mix = drafting.counted([str(head) for head in drafting.read_layer(layer, "layer").heads])
        except SpecError:
            mix = ""
        layer = dataclasses.replace(layer, mix=mix)
    return dataclasses.replace(layer, **{name: value})


def _size(key: str) -> int | None:
    value = st.session_state[key]
    return None if value is None else int(value)


def _text(key: str) -> str:
    return drafting.plain_field(str(st.session_state[key] or ""))
