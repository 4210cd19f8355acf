"""The form that builds the library of a preset with a chosen kernel, in a job."""

from __future__ import annotations

import streamlit as st

from explorer.app.search import launching, study_progress
from explorer.app.shared import components, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import ExplorerError
from explorer.library.beginning import cost_text
from explorer.library.library import MAX_LIBRARY
from explorer.library.spaces import check_space_name, chosen_kernel, has_space, space_cost
from explorer.similarity.kernel import CostEstimate
from explorer.similarity.registry import DEFAULT, KERNELS
from explorer.space.grammar import load_space, preset_names
from explorer.studies.jobs import is_alive, launch, refresh_jobs
from graphstore.errors import StoreError
from graphstore.records import JobRecord

KIND = "space"
"""Kind of the jobs that build a library."""
LONGEST_NAME, LONGEST_PARAMETERS = 64, 200


@st.cache_data(show_spinner=False)
def buildable() -> list[str]:
    """Return the presets that are small enough for a library."""
    return [name for name in preset_names() if load_space(name).count() <= MAX_LIBRARY]


@st.cache_data(show_spinner="Estimating the cost …", max_entries=32)
def estimate(preset: str, kernel: str, parameters: tuple[str, ...]) -> CostEstimate:
    """Estimate the cost of building a preset's library with a kernel. Raises InputError for invalid choices."""
    space = load_space(preset)
    chosen = chosen_kernel(space, kernel, parameters)
    assert chosen is not None
    return space_cost(chosen, space)


def arguments(preset: str, name: str, kernel: str, parameters: tuple[str, ...]) -> list[str]:
    """Return the arguments of ``archex`` that build a library."""
    words = ["space", "build", preset, "--name", name, "--kernel", kernel]
    return [*words, *(word for parameter in parameters for word in ("--kernel-parameter", parameter))]


def start(preset: str, name: str, kernel: str, parameters: tuple[str, ...]) -> JobRecord:
    """Build a library in a job.

    Raises:
        DataError: the name is invalid.
        InputError: too many jobs are running.
    """
    check_space_name(name)
    with services.starting(services.store()) as jobs:
        launching.require_room(jobs)
        return launch(services.store(), KIND, arguments(preset, name, kernel, parameters), {"studies": []})


def render() -> None:
    """Draw the form, and the progress of a library that is being built."""
    with st.expander("Build a library with another kernel", icon=":material/construction:"):
        left, middle, right = st.columns(3)
        preset = left.selectbox("Design space", buildable(), key="library_preset")
        kernel = middle.selectbox(
            "Kernel",
            KERNELS,
            index=KERNELS.index(DEFAULT),
            accept_new_options=True,
            key="library_kernel",
            help="The graph kernel behind neighbours, vectors and search. Type grakel:NAME for a kernel of GraKeL.",
        )
        usual = preset if kernel == DEFAULT else f"{preset}-{kernel}".lower().replace(":", "-").replace("_", "-")
        name = right.text_input(
            "Name of the space", usual[:LONGEST_NAME], max_chars=LONGEST_NAME, key=f"library_name_{preset}_{kernel}"
        )
        text = st.text_input(
            "Parameters of the kernel",
            max_chars=LONGEST_PARAMETERS,
            placeholder="NAME=VALUE, separated by spaces; for example iterations=3",
            key="library_parameters",
        )
        parameters = tuple(text.split())
        if st.button("Estimate the cost", icon=":material/timer:", key="library_estimate"):
            st.session_state["library_estimated"] = (preset, kernel, parameters)
        jobs = refresh_jobs(services.store())
        running = [job for job in jobs if job.kind == KIND and is_alive(job)]
        for job in running:
            study_progress.job_progress(job.id)
        if running:
            study_progress.watch(study_progress.fingerprint(jobs, services.store().studies()), True)
        if st.session_state.get("library_estimated") != (preset, kernel, parameters):
            return
        _confirm(preset, name.strip(), str(kernel), parameters)


def _confirm(preset: str, name: str, kernel: str, parameters: tuple[str, ...]) -> None:
    try:
        cost = estimate(preset, kernel, parameters)
        st.caption(f"{verbatim(kernel)} for {load_space(preset).count():,} architectures: {cost_text(cost)}.")
        cost.check(kernel)
        if has_space(services.store(), name):
            st.info(f"{verbatim(name)} exists. Choose another name.", icon=":material/info:")
            return
        if st.button("Build it", icon=":material/play_arrow:", type="primary", key="library_build"):
            job = start(preset, name, kernel, parameters)
            st.success(f"Job {job.id} builds {name}; it appears among the spaces.", icon=":material/check_circle:")
    except (ExplorerError, StoreError) as error:
        components.show_error(error)
