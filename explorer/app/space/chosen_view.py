"""The architectures selected on the map: a table, a summary, and a link to compare them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from explorer.analysis.score_kinds import TitledKind
from explorer.app import navigation
from explorer.app.shared import components, downloads, frames
from explorer.app.shared.markdown import verbatim

FEWEST, MOST = 2, 6
"""Numbers of architectures that can be compared."""
MOST_ROWS = 1000
"""Most rows of the table; the download has all rows."""


def render(chosen: pd.DataFrame, picked: TitledKind | None, space: str, forget: Callable[[], None]) -> None:
    """Show the selected architectures.

    Args:
        chosen: rows of ``services.architectures``, indexed by id, with a column ``score``.
        picked: score kind of the column ``score``; ``None`` if there is none.
        space: name of the space.
        forget: callback of the button that clears the selection.
    """
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    left.subheader(f"Chosen: {len(chosen):,}")
    right.button("Clear the selection", icon=":material/deselect:", key="undo_areas", on_click=forget, width="stretch")
    if chosen.empty:
        st.caption("The selected area holds no architecture that passes the filters.")
        return
    st.caption(_summary(chosen, picked))
    table = frames.best_first(chosen, picked is not None and picked.kind.lower_is_better)
    columns = ["label", "score", "operations", "hiddens", "parameters", "flops", "depth", "heterogeneity"]
    if picked is None:
        columns.remove("score")
    shown = table.head(MOST_ROWS).copy()
    shown.insert(0, "link", components.addresses(shown.index, space))
    event = downloads.table(
        shown,
        f"{space}-chosen",
        "space_chosen",
        whole=table.drop(columns=["x", "y"]),
        column_order=["link", *columns],
        column_config=components.COLUMNS,
        hide_index=True,
        placeholder=components.UNKNOWN,
        height=min(420, 38 + 35 * len(shown)),
        on_select="rerun",
        selection_mode="multi-row",
    )
    rows = [row for row in event.selection.rows if row < len(shown)]
    ids = [str(shown.index[row]) for row in rows]
    compare_link(ids or [str(id) for id in shown.index[:MOST]], space, by_hand=bool(ids), total=len(table))


def compare_link(ids: list[str], space: str, by_hand: bool, total: int) -> None:
    """Show a link to the Compare page if the number of architectures allows it."""
    if len(ids) < FEWEST or len(ids) > MOST:
        st.caption(f"Mark {FEWEST} to {MOST} rows to compare them.")
        return
    few = f"the first {len(ids)}" if total > len(ids) else f"all {len(ids)}"
    navigation.compare_link(ids, space, f"Compare the {len(ids)} marked" if by_hand else f"Compare {few}")


def _summary(chosen: pd.DataFrame, picked: TitledKind | None) -> str:
    words = f"{chosen['parameters'].min():,} to {chosen['parameters'].max():,} parameters"
    words += f", heterogeneity {chosen['heterogeneity'].mean():.2f} on average"
    known = chosen["score"].dropna()
    if picked is None or known.empty:
        return f"{words}; none has a score."
    best = known.min() if picked.kind.lower_is_better else known.max()
    scored = f"{len(known):,} with score {verbatim(picked.title)}"
    return f"{words}; {scored}: {known.mean():.4f} on average, {best:.4f} at best."
