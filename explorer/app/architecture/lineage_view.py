"""The weight initialisation of an architecture's trained instances, on the Architecture page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from explorer.app.shared import components, downloads, services
from graphstore.records import ArchitectureRecord, LineageRecord


def render(record: ArchitectureRecord, space: str) -> None:
    """Show the donors of inherited weights, their donors, and so on.

    Args:
        record: the architecture of the page.
        space: space that the links to the donors name.
    """
    found = services.store().lineage(record.id)
    if not found:
        st.caption(
            "No inherited weights: no trained instance of it is recorded as initialised from another one. "
            "Trainings that a search starts from the weights of a trained neighbour are listed here."
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
            "run": st.column_config.TextColumn("trained instance", help="The run, as in the source of its scores."),
            "architecture": st.column_config.LinkColumn("architecture", display_text=r"id=(\w{8})"),
            "donor_run": st.column_config.TextColumn("initialised from"),
            "donor": st.column_config.LinkColumn("its architecture", display_text=r"id=(\w{8})"),
            "method": st.column_config.TextColumn("method", help="Method of weight transfer."),
            "share": st.column_config.NumberColumn(
                "share of parameters", format="percent", help="Share of the parameters that was copied."
            ),
        },
    )
    st.caption("Its own instances first, then their donors, and so on.")


def lineage_table(records: Sequence[LineageRecord], space: str) -> pd.DataFrame:
    """Return one row per record: ``run, architecture, donor_run, donor, method, share``; architectures as URLs."""
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
