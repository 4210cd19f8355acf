"""Where an architecture's trained instances got their first weights from, on the Architecture page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from explorer.app.shared import components, downloads, services
from graphstore.records import ArchitectureRecord, LineageRecord


def render(record: ArchitectureRecord, space: str) -> None:
    """Show which trained instances gave the weights, and theirs, back to the beginning.

    Args:
        record: the architecture of the page.
        space: what the links to the donors name as their space.
    """
    found = services.store().lineage(record.id)
    if not found:
        st.caption(
            "No weights handed down: none of its trained instances is recorded as having taken its first weights from "
            "another one. What a search trains with the weights of a trained neighbour is listed here."
        )
        return
    downloads.table(
        lineage_table(found, space),
        f"{record.id[:8]}-lineage",
        "architecture_lineage",
        pd.DataFrame([dataclasses.asdict(one) for one in found]),
        hide_index=True,
        placeholder=components.UNKNOWN,
        column_config={
            "run": st.column_config.TextColumn("trained instance", help="As the source of its scores names it."),
            "architecture": st.column_config.LinkColumn("architecture", display_text=r"id=(\w{8})"),
            "donor_run": st.column_config.TextColumn("took weights from"),
            "donor": st.column_config.LinkColumn("architecture of it", display_text=r"id=(\w{8})"),
            "method": st.column_config.TextColumn("method", help="How the weights were fitted in."),
            "share": st.column_config.NumberColumn(
                "share of parameters", format="percent", help="Part of the parameters that was taken over."
            ),
        },
    )
    st.caption("Its own instances first, then those they took weights from, and so on.")


def lineage_table(records: Sequence[LineageRecord], space: str) -> pd.DataFrame:
    """One row per record: ``run, architecture, donor_run, donor, method, share``; architectures as addresses."""
    return pd.DataFrame(
        {
            "run": [record.run for record in records],
            "architecture": components.addresses((record.architecture for record in records), space),
            "donor_run": [record.donor_run for record in records],
            "donor": components.addresses((record.donor for record in records), space),
            "method": [record.method for record in records],
            "share": [record.share for record in records],
        }
    )
