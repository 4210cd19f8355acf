"""Shapes: edit layer widths, predict perplexity and latency, generate, search and compare machines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from explorer.app.shapes import shape_services
from explorer.app.shapes.shape_services import Learned
from explorer.app.shapes.shape_views import COLUMNS, devices_view, layers_view, search_view
from explorer.app.shared import address, components, downloads, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import InputError
from explorer.plots.shapes import kinds_compared, shape_bars, shape_profiles
from explorer.space.backbones import parse_widths
from explorer.supershaper.shapes.asking import ShapeReport
from explorer.supershaper.shapes.heuristics import ShapeFamily, generate

VIEWS = ("Explore", "Search", "Layers", "Devices")
PER_ROW = 6
SHAPE = "shape"
MOST_SHAPES = 4
"""Most kinds drawn with the edited shape; more lines could not be distinguished."""


@components.page
def render() -> None:
    """Draw the page."""
    components.head("shapes")
    if services.is_missing():
        components.empty_store()
    known_spaces = [space.name for space in services.spaces()]
    if not known_spaces:
        components.empty_store()
    components.note_unknown_space(known_spaces)
    names = shape_services.spaces()
    if not names:
        _none_yet()
        return
    with st.sidebar:
        # Keep this selection separate, so that other pages keep their space.
        space = components.pick("Design space", names, "space", lambda: names[0], kept_as="shapes_space")
    known = shape_services.learned(space)
    if known is None:
        _none_yet()
        return
    grid, table = known.predictors.grid, known.table
    st.markdown(
        f"**{len(table.shapes):,} shapes** of {grid.count:,}: {grid.layers} layers, each as wide as one of "
        f"{', '.join(map(str, grid.widths))}, on a backbone of width {grid.backbone.hidden}. "
        f"{len(table.scored[0]):,} have a perplexity, {len(table.latency)} machines timed them."
    )
    view = address.segments("View", VIEWS, "view", label_visibility="collapsed")
    widths = _wanted(known)
    if view == "Explore":
        _explore(known, widths)
    elif view == "Search":
        search_view(space, known)
    elif view == "Layers":
        layers_view(space, known)
    else:
        devices_view(space, known, widths)


def _none_yet() -> None:
    st.info("No space of this store holds shapes yet.", icon=":material/hourglass_empty:")
    st.markdown(
        "A shape is the list of widths of the layers between the bottlenecks of a backbone. Import measured "
        "shapes, a table with `h1`, `h2`, …, `perplexity` and latencies in columns `NAME_s`:\n\n"
        "```\narchex import shapes shapes_700.csv\n```"
    )


def _key(layer: int) -> str:
    return f"shape_width_{layer}"


def _wanted(known: Learned) -> tuple[int, ...]:
    """Return the edited shape: from the widgets, else the URL, else the heuristic one of median size."""
    grid, state = known.predictors.grid, st.session_state
    place = (grid.widths, grid.layers)
    keys = [_key(layer) for layer in range(grid.layers)]
    if state.get("shape_grid") == place and all(state.get(key) in grid.widths for key in keys):
        return tuple(int(state[key]) for key in keys)
    if state.get("shape_grid") == place and SHAPE in state:
        return tuple(state[SHAPE])
    found = parse_widths(st.query_params.get(SHAPE, ""))
    if found is None or len(found) != grid.layers or not set(found) <= set(grid.widths):
        if (
            SHAPE in st.query_params and "shape_grid" not in state
        ):  # Otherwise another space left it in the session state.
            st.caption(":orange[The URL names a shape that does not belong to this space; it was ignored.]")
        middle = float(np.median(grid.parameters(known.table.shapes)))
        found = generate(grid, ShapeFamily.GOOD, middle, 0.05).widths
    state["shape_grid"] = place
    _set(found)  # Without this the widgets keep widths of the previous space, or fall back to the narrowest.
    return found


def _set(widths: tuple[int, ...]) -> None:
    st.session_state[SHAPE] = widths
    for layer, width in enumerate(widths):
        st.session_state[_key(layer)] = width


def _generate(known: Learned) -> None:
    """Write a generated shape to the editor; errors are shown on the page."""
    state = st.session_state
    rng = np.random.default_rng(int(state["shapes_seed"]))
    try:
        made = generate(known.predictors.grid, state["shapes_family"], float(state["shapes_budget"]) * 1e6, rng=rng)
    except InputError as error:
        state["shape_refused"] = str(error)
        return
    _set(made.widths)


def _explore(known: Learned, widths: tuple[int, ...]) -> None:
    grid = known.predictors.grid
    _generator(known, widths)
    edited = _editor(known, widths)
    st.session_state[SHAPE] = edited
    address.write(SHAPE, ",".join(map(str, edited)))
    report = known.predictors.reports(np.array([edited]))[0]
    _facts(report)
    downloads.figure(shape_bars(edited, grid.widths[-1]), "shape", "shapes_bars", alt="Width of each layer")
    st.subheader("Kinds of shapes with as many parameters")
    _kinds(known, report)


def _generator(known: Learned, widths: tuple[int, ...]) -> None:
    low, high = (size / 1e6 for size in known.predictors.grid.extent)
    own = float(known.predictors.grid.parameters(np.array([widths]))[0]) / 1e6
    with st.container(horizontal=True, vertical_alignment="bottom"):
        family = st.selectbox("Make one", list(ShapeFamily), format_func=_title, key="shapes_family")
        # Round outwards: with six digits the limits must not exclude their own shapes.
        st.number_input(
            "Parameters, in millions", low, high, min(max(own, low), high), 1.0, "%.2f", key="shapes_budget"
        )
        st.number_input("Seed", 0, 10_000, 0, key="shapes_seed", disabled=family is not ShapeFamily.RANDOM)
        st.button(
            "Make it",
            icon=":material/auto_awesome:",
            key="shapes_make",
            on_click=_generate,
            args=(known,),
        )
    refused = st.session_state.pop("shape_refused", None)
    if refused:
        st.warning(verbatim(refused), icon=":material/error:")


def _title(family: ShapeFamily) -> str:
    return family.value.replace("-", " ")


def _editor(known: Learned, widths: tuple[int, ...]) -> tuple[int, ...]:
    grid, edited = known.predictors.grid, []
    for start in range(0, grid.layers, PER_ROW):
        layers = range(start, min(start + PER_ROW, grid.layers))
        for column, layer in zip(st.columns(PER_ROW), layers, strict=False):
            st.session_state.setdefault(_key(layer), widths[layer])
            edited.append(int(column.selectbox(f"Layer {layer + 1}", grid.widths, key=_key(layer))))
    return tuple(edited)


def _facts(report: ShapeReport) -> None:
    """Show parameters, perplexity and latencies with their intervals."""
    facts = [
        ("Parameters, merged", f"{report.parameters / 1e6:.2f} M", f"unmerged {report.parameters_unmerged / 1e6:.2f} M")
    ]
    if report.perplexity is not None:
        one = report.perplexity
        facts.append(("Perplexity, predicted", f"{one.value:.2f}", f"95 %: {one.low:.2f} to {one.high:.2f}"))
    for name, one in report.latency_s.items():
        facts.append(
            (
                f"Latency, {name}",
                f"{1000 * one.value:,.4g} ms",
                f"95 %: {1000 * one.low:,.4g} to {1000 * one.high:,.4g}",
            )
        )
    for column, (name, value, note) in zip(st.columns(len(facts)), facts, strict=True):
        # Metrics truncate long machine names in narrow windows.
        column.metric(verbatim(name), value, help=name if name.startswith("Latency") else None)
        column.caption(note)


@st.cache_data(show_spinner=False, max_entries=64)
def _made(_known: Learned, budget: int, space: str) -> dict[str, tuple[int, ...]]:
    grid = _known.predictors.grid
    found = {}
    for family in ShapeFamily:
        if family is ShapeFamily.RANDOM:
            continue
        try:
            found[_title(family)] = generate(grid, family, budget).widths
        except InputError:
            continue  # No shape of this grid has this number of parameters within the tolerance.
    return found


def _kinds(known: Learned, report: ShapeReport) -> None:
    """Draw the edited shape with one shape of every family at the same size."""
    made = _made(known, report.parameters, str(st.query_params.get("space", "")))
    shapes = {"this shape": report.widths} | made
    rows = np.array(list(shapes.values()))
    reports = known.predictors.reports(rows)
    frame = pd.DataFrame(
        {"kind": list(shapes), "shape": shape_services.texts(rows), "parameters": [one.parameters for one in reports]}
    )
    predictions = [one.perplexity for one in reports]
    if known.predictors.perplexity is not None:
        frame["value"] = [one.value for one in predictions if one is not None]
        frame["low"] = [one.low for one in predictions if one is not None]
        frame["high"] = [one.high for one in predictions if one is not None]
        drawn = pd.concat([frame.head(1), frame.iloc[1:].sort_values("value", kind="stable")])
        downloads.figure(
            kinds_compared(drawn), "kinds-of-shapes", "shapes_kinds", alt="Predicted perplexity of kinds of shapes"
        )
        frame = drawn.rename(columns={"value": "perplexity"})
    first = list(frame["kind"][: 1 + MOST_SHAPES])
    profiles = shape_profiles({name: shapes[name] for name in first}, known.predictors.grid.widths[-1])
    downloads.figure(profiles, "shapes", "shapes_profiles", alt="Widths of several shapes over the layers")
    downloads.table(frame, "kinds-of-shapes", "shapes_kinds_table", hide_index=True, column_config=COLUMNS)
