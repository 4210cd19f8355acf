"""Downloads of an architecture: its ``model_dict``, and its export folder with a trained model as a ZIP."""

from __future__ import annotations

import json
import threading

import streamlit as st

from explorer.app.shared import components, downloads, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import DataError, ExplorerError
from explorer.library.card import usage
from explorer.library.exporting import (
    MAX_PACKED_BYTES,
    MainModel,
    TrainedRun,
    main_model,
    packed,
    run_bytes,
    trained_runs,
)
from explorer.space.formats import from_json, to_model_dict
from explorer.space.spec import ArchitectureSpec
from graphstore.records import ArchitectureRecord

PACKED = "export_packed"
"""Session state: the last packed folder and its bytes."""


@st.cache_resource(show_spinner=False)
def _one_at_a_time() -> threading.Lock:
    """Return the lock for packing, which loads models and runs for one session at a time."""
    return threading.Lock()


@st.cache_data(show_spinner=False, max_entries=64)
def _runs(url: str, id: str, revision: int, _spec: ArchitectureSpec) -> list[TrainedRun]:
    return trained_runs(services.store(), _spec)


def render(record: ArchitectureRecord) -> None:
    """Show the download buttons."""
    spec = from_json(record.spec)
    name = downloads.file_name(record.name or record.id[:8])
    row = st.container(horizontal=True)
    forms = [("per layer", False)] if spec.is_per_layer else []
    for title, per_head in (*forms, ("per head", True)):
        row.download_button(
            f"model_dict {title}",
            json.dumps(to_model_dict(spec, per_head=per_head), indent=1) + "\n",
            file_name=f"{name}-{title.replace(' ', '-')}.json",
            mime="application/json",
            icon=downloads.ICON,
            on_click="ignore",
            key=f"export_{title.replace(' ', '_')}",
        )
    runs = _runs(services.store_url(), record.id, services.store().revision("scores"), spec)
    if not runs:
        st.caption(
            "This store's files hold no trained model of it, so the folder contains its description: model_dict, graph "
            "and card. A search that trains it adds a model."
        )
        _zip(record, spec, name)
        return
    sources = {run.source: f"{run.source}: mean {run.mean:.4f}, {run_bytes(run) / 2**20:.0f} MiB" for run in runs}
    source = st.selectbox(
        "Trained model", list(sources), format_func=lambda one: sources.get(one, one), key="export_run"
    )
    chosen = next((run for run in runs if run.source == source), runs[0])
    try:
        main = main_model(chosen, spec)
    except DataError as error:
        st.warning(verbatim(error), icon=":material/broken_image:")
        return
    size = main.size
    text = f"This model has {size.total:,} parameters in all, {size.encoder:,} without embeddings and its task's head."
    if size.encoder != record.parameters:
        text += (
            f" The {record.parameters:,} above include relative-position tables for 512 tokens. The tables of this "
            f"model cover {size.positions} tokens, the longest sequence of its recipe."
        )
    st.caption(text)
    if run_bytes(chosen) > MAX_PACKED_BYTES:
        st.caption(
            f"Its models exceed the limit of {MAX_PACKED_BYTES >> 20} MiB for a ZIP here: run "
            f"`archex export {record.id} DIR` on the machine of the store."
        )
        return
    _zip(record, spec, name, chosen, main)


def _zip(
    record: ArchitectureRecord,
    spec: ArchitectureSpec,
    name: str,
    run: TrainedRun | None = None,
    main: MainModel | None = None,
) -> None:
    wanted = (record.id, run.source if run else "")
    ready = st.session_state.get(PACKED)
    if ready is not None and ready[0] == wanted:
        st.download_button(
            f"Download the folder ({len(ready[1]) / 2**20:.1f} MiB ZIP)",
            ready[1],
            file_name=f"{name}.zip",
            mime="application/zip",
            icon=downloads.ICON,
            on_click="ignore",
            key="export_zip",
        )
        if main is not None:
            _use(main)
        return
    what = "the model directory" if run else "the folder"
    if not st.button(f"Pack {what} as a ZIP", icon=":material/folder_zip:", key="export_pack"):
        st.caption(
            "A directory that `transformers` loads; it is checked before it is packed, for one session at a time."
            if run
            else "Takes a few seconds."
        )
        return
    with st.spinner("Packing …"), _one_at_a_time():
        try:
            st.session_state[PACKED] = (wanted, packed(services.store(), spec, name, wanted[1]))
        except (ExplorerError, OSError) as error:
            components.show_error(error)
            return
    st.rerun()


def _use(main: MainModel) -> None:
    """Show the code that loads the folder; its card has it too."""
    st.caption(
        f"The folder itself is the model of {verbatim(main.task)}; those of other tasks are in its subfolder `models`. "
        "Unpack it and run these lines in it where this package is installed; its README.md has them too."
    )
    st.code(usage(main.kind), language="python")
