"""Components that several pages share: guards, selectors, cards, the live indicator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import pandas as pd
import streamlit as st

from explorer.analysis.score_kinds import TitledKind
from explorer.app import navigation
from explorer.app.shared import access, downloads, frames, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import ExplorerError
from explorer.library.settings import is_finished
from explorer.remedies import with_remedy
from explorer.space.grammar import preset_names
from explorer.space.operations import notation_help
from graphstore.errors import StoreError
from graphstore.records import SpaceRecord
from graphstore.url import without_password

LIVE_EVERY = "3s"
LONGEST_WRONG = 64
"""Most characters of an invalid name that a message repeats."""
UNKNOWN = "–"
"""Shown in tables for an unknown value."""
PARAMETERS_HELP = (
    "Weights of the encoder without token and position embeddings, but with its relative-position tables for 512 "
    "tokens. A trained model has tables for the sequences of its recipe, so it may be much smaller."
)
FLOPS_HELP = "Floating-point operations of one forward pass over 128 tokens."
HETEROGENEITY_HELP = (
    "0 when all layers are alike, 1 when all differ: the mean diversity of operation, hidden size, heads and "
    "feed-forward over the layers."
)
OPERATIONS_HELP = (
    f"Operation of each layer, input to output. {notation_help()}. "
    "Half of a convolution layer's heads are sdp attention."
)
COLUMNS = {
    "label": st.column_config.TextColumn("architecture"),
    "operations": st.column_config.TextColumn("operations", help=OPERATIONS_HELP),
    "hiddens": st.column_config.TextColumn("hidden sizes", help="Hidden size of each layer, input to output."),
    "parameters": st.column_config.NumberColumn("parameters", format="localized", help=PARAMETERS_HELP),
    "flops": st.column_config.NumberColumn("FLOPs", format="compact", help=FLOPS_HELP),
    "heterogeneity": st.column_config.NumberColumn("heterogeneity", format="%.2f", help=HETEROGENEITY_HELP),
    "score": st.column_config.NumberColumn("score", format="%.4f"),
    "dissimilarity": st.column_config.NumberColumn("dissimilarity", format="%.4f"),
    "difference": st.column_config.TextColumn("differences", width="large"),
    "link": st.column_config.LinkColumn("", display_text="open", help="Open the Architecture page."),
}


def show_error(error: Exception) -> None:
    """Show an error, with the command that helps where the store's error has one."""
    st.error(verbatim(with_remedy(error)), icon=":material/error:")


@contextmanager
def guarded() -> Iterator[None]:
    """Show errors of the store or of the user's input as a message instead of a traceback, and stop the script."""
    try:
        yield
    # OSError covers a full disk and a read-only folder, which are not faults of the page.
    except (StoreError, ExplorerError, OSError) as error:
        show_error(error)
        shown = without_password(services.store_url())
        st.caption(f"Store: `{shown}`. This page works again as soon as the store does.")
        st.button("Try again", icon=":material/refresh:", key="try_again")
        st.stop()


def page(body: Callable[[], None]) -> Callable[[], None]:
    """Wrap the body of a page so that errors of the store become messages."""

    def render() -> None:
        with guarded():
            body()

    render.__name__, render.__doc__ = body.__name__, body.__doc__
    return render


def head(name: str) -> None:
    """Show the title of the page with this address and its purpose."""
    st.title(navigation.PAGES[name][0])
    st.caption(navigation.PURPOSES[name])


def empty_store() -> None:
    """Explain how to fill a store without spaces, and stop the script."""
    st.info("There is nothing in the store yet.", icon=":material/inventory_2:")
    st.markdown(
        "Build the `nano` space of 9,312 architectures and train the first models of it:\n\n"
        "```\narchex demo\n```\n\n"
        "Or build the space alone, or import results:\n\n"
        "```\narchex space build nano\narchex import nas-bench-bert BERT_benchmark.json\n```"
    )
    st.caption(f"Store: `{without_password(services.store_url())}`. Other commands need `--store` with this URL.")
    st.button("Look again", icon=":material/refresh:", key="look_again")
    st.stop()


def steady(options: Sequence[str], key: str) -> list[str]:
    """Return the options in the order in which this session has seen them, new ones last.

    An open list on the screen closes if the selected option changes its position, so a live page must keep the order.

    Args:
        options: distinct options.
        key: name of the list in the session state.
    """
    kept = f"order_{key}"
    seen = [option for option in st.session_state.get(kept, ()) if option in options]
    order = [*seen, *(option for option in options if option not in seen)]
    st.session_state[kept] = order
    return order


def pick(
    label: str,
    options: Sequence[str],
    parameter: str,
    default: Callable[[], str],
    hidden_label: bool = False,
    kept_as: str | None = None,
) -> str:
    """Show a select box whose value is kept in the URL and, across pages, in the session state.

    Args:
        label: label of the select box.
        options: at least one option.
        parameter: name of the URL parameter.
        default: initial value if neither the URL nor the session state has one.
        hidden_label: whether only screen readers see the label.
        kept_as: name in the session state; by default that of the URL parameter.

    Returns:
        The selected option.
    """
    key, kept = f"pick_{parameter}", f"kept_{kept_as or parameter}"

    def changed() -> None:
        st.query_params[parameter] = st.session_state[key]

    found = next((c for c in (st.query_params.get(parameter), st.session_state.get(kept)) if c in options), None)
    st.session_state[key] = found if found is not None else default()
    shown: Literal["collapsed", "visible"] = "collapsed" if hidden_label else "visible"
    # Show options verbatim and in stable positions: Streamlit finds the browser's selection by its title.
    order = steady(options, parameter)
    chosen = str(st.selectbox(label, order, key=key, on_change=changed, label_visibility=shown))
    st.session_state[kept] = st.query_params[parameter] = chosen
    return chosen


def pick_space() -> SpaceRecord:
    """Show the selector of a space, kept in the URL as ``space``; stop the script if there is none."""
    if services.is_missing():
        empty_store()
    known = {space.name: space for space in services.spaces()}
    if not known:
        empty_store()
    names = list(known)
    note_unknown_space(names)
    with st.sidebar:
        chosen = pick("Design space", names, "space", lambda: default_space(names))
    space = known[chosen]
    if not is_finished(space.info):
        st.sidebar.caption("Its library is not finished yet.")
    return space


def note_unknown_space(names: Sequence[str]) -> None:
    """Show a notice if the URL names a space that is not among these."""
    wanted = st.query_params.get("space")
    if wanted is not None and wanted not in names:
        shown = verbatim(repr(wanted[:LONGEST_WRONG]))
        st.warning(f"This store has no space {shown}; another one is shown.")


def default_space(names: Sequence[str]) -> str:
    """Return the initial space: the first one with scores, if any."""
    return next((name for name in names if not services.scores(name).empty), names[0])


def pick_kind(scores: pd.DataFrame, label: str, key: str) -> TitledKind | None:
    """Show the selector of the score kind, kept in the URL by its title; return ``None`` without scores."""
    kinds = {one.title: one for one in frames.score_kinds(scores)}
    if not kinds:
        return None
    order = steady(list(kinds), key)
    chosen = st.selectbox(label, order, order.index(next(iter(kinds))), key=key, bind="query-params")
    return kinds[str(chosen)]


def how_to_finish(space: str) -> str:
    """Return the remedy for a space whose library is incomplete, as the end of a sentence."""
    if space in preset_names():
        return f"run `archex space build {space}`"
    return "train or import again to finish it"


def no_scores_yet() -> None:
    """Explain how to get scores."""
    st.info(
        "No architecture of this space has a score yet. Start a search on the Search page, or run `archex demo`; "
        "scores appear here as they arrive.",
        icon=":material/hourglass_empty:",
    )


def watch_scores(shown: int) -> None:
    """Poll the store and rerun the page when it has newer scores than those shown.

    Args:
        shown: revision of the scores that the page shows.
    """

    @access.drawn_again(LIVE_EVERY)
    def indicator() -> None:
        try:
            changed = services.store().revision("scores") != shown
        except StoreError as error:
            st.caption(f":red[●] The store does not answer: {verbatim(error)}")
            return
        if changed:
            st.rerun()
        st.caption(":green[●] Live: new scores appear automatically.")

    with st.sidebar:
        indicator()


def summary_card(id: str, row: pd.Series, scores: pd.DataFrame, space: str, title: str = "") -> None:
    """Show the main facts of an architecture with a link to its page."""
    with st.container(border=True):
        st.markdown(f"**{verbatim(title or row['label'])}**")
        st.markdown(f"{row['operations']}  \nhidden {row['hiddens']}", help=OPERATIONS_HELP)
        own = scores[scores["id"] == id]
        facts = {
            "Parameters": f"{int(row['parameters']):,}",
            "FLOPs": compact(float(row["flops"])),
            "Heterogeneity": f"{row['heterogeneity']:.2f}",
        }
        for one in frames.score_kinds(own):
            facts[f"Score {verbatim(one.title)}"] = f"{frames.mean_scores(own, one.kind).iloc[0]:.4f}"
        st.table(pd.Series(facts, name=""), border="horizontal")
        if own.empty:
            st.caption("Not scored yet.")
        navigation.link("architecture", id, space, "Open its page")


def compact(value: float) -> str:
    """Return a large number with three digits, for example ``61.2 M`` or ``167 k``."""
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            shown = value / factor
            return f"{shown:.{0 if abs(shown) >= 99.95 else 1}f} {unit}"
    return f"{value:.0f}"


def addresses(ids: Iterable[object], space: str) -> list[str]:
    """Return the URL of each architecture's page."""
    return [navigation.architecture_address(str(id), space) for id in ids]


def architecture_table(
    table: pd.DataFrame,
    columns: list[str],
    space: str,
    key: str,
    height: int = 320,
    column_config: Mapping[str, Any] | None = None,
) -> None:
    """Show a table of architectures whose first column links to their pages, with a CSV download.

    Args:
        table: the rows, indexed by architecture id.
        columns: columns to show.
        space: space that the links name.
        key: key of the table, unique on the page.
        height: maximal height in pixels.
        column_config: configuration of columns that other tables do not have.
    """
    shown = table.copy()
    shown.insert(0, "link", addresses(table.index, space))
    downloads.table(
        shown,
        f"{space}-{key}",
        key,
        shown[[name for name in columns if name in shown]],
        column_order=["link", *columns],
        column_config={**COLUMNS, **(column_config or {})},
        hide_index=True,
        placeholder=UNKNOWN,
        height=min(height, 38 + 35 * max(1, len(shown))),
    )
