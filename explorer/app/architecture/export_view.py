"""What a visitor may take away of an architecture: its ``model_dict``, and its folder with a trained model as a ZIP."""

from __future__ import annotations

import json
import threading

import streamlit as st

from explorer.app.shared import downloads, services
from explorer.app.shared.messages import literal
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
"""Of the visit: what was packed last, and its bytes."""


@st.cache_resource(show_spinner=False)
def _one_at_a_time() -> threading.Lock:
    """Packing loads models to check them, so visitors take turns."""
    return threading.Lock()


@st.cache_data(show_spinner=False, max_entries=64)
def _runs(url: str, id: str, revision: int, _spec: ArchitectureSpec) -> list[TrainedRun]:
    return trained_runs(services.store(), _spec)


def render(record: ArchitectureRecord) -> None:
    """Draw the buttons."""
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
            "It has no trained model in this store's files, so the folder holds its description: model_dict, graph, "
            "card. A search that trains it adds one."
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
        st.warning(literal(error), icon=":material/broken_image:")
        return
    size = main.size
    text = f"This model has {size.total:,} parameters in all, {size.encoder:,} without embeddings and its task's head."
    if size.encoder != record.parameters:
        text += (
            f" Above, {record.parameters:,} are counted: with relative-position tables for 512 tokens. This model's "
            f"are for {size.positions}, the longest sequence of its recipe."
        )
    st.caption(text)
    if run_bytes(chosen) > MAX_PACKED_BYTES:
        st.caption(
            f"Its models are larger than the {MAX_PACKED_BYTES >> 20} MiB that may be packed here: run "
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
            "A directory that `transformers` loads, checked before it is packed; visitors take turns."
            if run
            else "Seconds of work."
        )
        return
    with st.spinner("Packing …"), _one_at_a_time():
        try:
            st.session_state[PACKED] = (wanted, packed(services.store(), spec, name, wanted[1]))
        except (ExplorerError, OSError) as error:
            st.error(literal(error), icon=":material/error:")
            return
    st.rerun()


def _use(main: MainModel) -> None:
    """How the folder is loaded, as its card says too."""
    st.caption(
        f"The folder itself is the model of {literal(main.task)}; others of the training lie in its folder `models`. "
        "Unpack it and run these lines in it, where this explorer is installed; its README.md has them too."
    )
    st.code(usage(main.kind), language="python")
