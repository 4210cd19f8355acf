"""Search: launch a study as a background job, watch, stop, resume and compare it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.app.search import launch_form, launching, study_controls, study_progress
from explorer.app.shared import components, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import InputError
from explorer.library.settings import is_finished
from explorer.studies.jobs import is_alive, refresh_jobs, stop_job, studies_of
from graphstore import GraphStore
from graphstore.records import JobRecord, JobState, StudyRecord

EARLIER = 8
"""Most finished jobs in the list."""


@components.page
def render() -> None:
    """Draw the page."""
    components.head("search")
    space = components.pick_space()
    store = services.store()
    jobs, studies = refresh_jobs(store), store.studies()
    study_progress.watch(study_progress.fingerprint(jobs, studies), any(is_alive(job) for job in jobs))
    left, right = st.columns([1, 2], gap="large")
    with left:
        st.subheader("Launch")
        if is_finished(space.info):
            launch_form.render(store, space.name, jobs, studies)
        else:
            st.info(
                "A search needs the library of this space, which is not finished yet.",
                icon=":material/hourglass_empty:",
            )
        _jobs(store, jobs, studies)
    with right:
        _study(jobs, studies, space.name)


def _jobs(store: GraphStore, jobs: Sequence[JobRecord], studies: Sequence[StudyRecord]) -> None:
    active = [job for job in jobs if is_alive(job)]
    ended = [job for job in jobs if not is_alive(job)]
    if active:
        st.subheader("Running")
    for job in active:
        with st.container(border=True):
            _title(job)
            study_progress.job_progress(job.id)
            row = st.container(horizontal=True)
            _watch_button(row, job)
            stopping = job.state is JobState.STOPPING
            if row.button("Stop", icon=":material/stop_circle:", key=f"stop_{job.id}", disabled=stopping):
                stop_job(store, job.id)
                st.rerun()
    if ended:
        with st.expander(f"Finished jobs ({len(ended)})", expanded=not active):
            for job in ended[:EARLIER]:
                _ended(store, job, studies)


def _title(job: JobRecord) -> None:
    names = ", ".join(studies_of(job)) or str(job.info.get("space") or job.id)
    begun = time.strftime("%d %b, %H:%M", time.localtime(job.created))
    st.markdown(f"{study_progress.badge(job.state)} **{verbatim(job.kind)}** {verbatim(names)}  \n:gray[since {begun}]")


def _watch_button(place: DeltaGenerator, job: JobRecord) -> None:
    names = studies_of(job)
    if names and place.button("Watch", icon=":material/visibility:", key=f"watch_{job.id}"):
        st.query_params["study"] = names[0]
        st.rerun()


def _ended(store: GraphStore, job: JobRecord, studies: Sequence[StudyRecord]) -> None:
    with st.container(border=True):
        _title(job)
        text = study_progress.message(job, studies)
        if text:
            st.caption(text)
        row = st.container(horizontal=True)
        _watch_button(row, job)
        if not launching.can_resume(job, studies):
            return
        if row.button("Resume", icon=":material/play_circle:", key=f"resume_{job.id}"):
            try:
                with services.starting(store) as now:
                    launching.resume(store, job, now)
            except InputError as error:
                components.show_error(error)
                return
            st.rerun()


def _study(jobs: Sequence[JobRecord], studies: Sequence[StudyRecord], space: str) -> None:
    st.subheader("Study")
    names = [study.name for study in studies]
    begun = {name for job in jobs if is_alive(job) for name in studies_of(job)}
    names += sorted(begun - set(names))
    wanted = st.query_params.get("study")
    if wanted is not None and wanted not in names and any(wanted in studies_of(job) for job in jobs):
        names.append(wanted)
    if not names:
        st.info("This store has no study yet. Launch one to see its trials and curve here.")
        return
    if wanted is not None and wanted not in names:
        st.warning(f"This store has no study {verbatim(repr(wanted[: components.LONGEST_WRONG]))}.")
    here = [study.name for study in studies if study.space == space]
    chosen = components.pick(
        "Study",
        names,
        "study",
        lambda: (here or names)[0],
        hidden_label=True,
    )
    record = next((study for study in studies if study.name == chosen), None)
    study_controls.render(services.store(), chosen, record, jobs)
    study_progress.study_view(chosen, chosen in begun)
