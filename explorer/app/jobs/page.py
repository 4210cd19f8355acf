"""Jobs and store: running and finished jobs of this store, and whether the store is consistent."""

from __future__ import annotations

import datetime
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from explorer.app import navigation
from explorer.app.jobs import store_health
from explorer.app.search import launching, study_progress
from explorer.app.shared import access, address, components, downloads, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import InputError
from explorer.library.workplace import workers_log
from explorer.studies.jobs import is_alive, read_end, read_log, refresh_jobs, stop_job, studies_of
from graphstore import GraphStore
from graphstore.errors import StoreError
from graphstore.records import JobRecord, JobState, StudyRecord

TABS = ("Jobs", "Store")
LOG_LINES = (50, 200, 1000)
TABLE = "jobs_table"
MOST_LISTED = 500
"""Most jobs in the table, newest first."""
COLUMNS = {
    "state": st.column_config.TextColumn("state", width="small"),
    "progress": st.column_config.ProgressColumn("progress", format="percent", min_value=0.0, max_value=1.0),
    "begun": st.column_config.DatetimeColumn("begun", format="DD MMM YYYY, HH:mm:ss"),
    "seen": st.column_config.DatetimeColumn("last heartbeat", format="DD MMM YYYY, HH:mm:ss"),
}


@components.page
def render() -> None:
    """Draw the page."""
    components.head("jobs")
    if services.is_missing():
        components.empty_store()
    store = services.store()
    jobs, studies = refresh_jobs(store), store.studies()
    study_progress.watch(study_progress.fingerprint(jobs, studies), any(is_alive(job) for job in jobs))
    # The key is the URL parameter.
    first, second = st.tabs(TABS, key="view", bind="query-params")
    with first:
        _jobs(store, jobs, studies)
    # Draw a tab only when it is open.
    if second.open:
        with second:
            store_health.draw(store)


def _jobs(store: GraphStore, jobs: Sequence[JobRecord], studies: Sequence[StudyRecord]) -> None:
    known = {job.id: job for job in jobs}
    # Show this notice at the top, because the log is far down the page.
    asked = address.read("job", known.__contains__, "job")
    if not jobs:
        st.info(
            "No job has run in this store yet. Start a search on the Search page, or run `archex demo`.",
            icon=":material/hourglass_empty:",
        )
        return
    counts = {state: sum(job.state is state for job in jobs) for state in JobState}
    st.markdown(" ".join(f"{study_progress.badge(state)} {count}" for state, count in counts.items() if count))
    active = [job for job in jobs if is_alive(job)]
    if not active:
        st.caption("Nothing is running.")
    for job in active:
        with st.container(border=True):
            _title(job)
            study_progress.job_progress(job.id)
            with st.container(horizontal=True, vertical_alignment="center"):
                _stop_button(store, job, "card")
                _study_links(job, studies)
    states = address.choices(
        "States", [state.value for state in JobState if counts[state]], "states", placeholder="All states"
    )
    shown = [job for job in jobs if not states or job.state.value in states][:MOST_LISTED]
    _table(shown)
    _chosen(store, known[asked] if asked else jobs[0], studies)


def _title(job: JobRecord) -> None:
    names = ", ".join(studies_of(job)) or job.id
    where = f" on {verbatim(job.host)}" if job.host else ""
    st.markdown(
        f"{study_progress.badge(job.state)} **{verbatim(job.kind)}** {verbatim(names)}  \n"
        f":gray[since {_moment(job.created)}{where}]"
    )


def _moment(seconds: float) -> str:
    return time.strftime("%d %b %Y, %H:%M:%S", time.localtime(seconds))


def _stop_button(store: GraphStore, job: JobRecord, place: str) -> None:
    stopping = job.state is JobState.STOPPING
    help = "It stops after its current step and can be resumed."
    if st.button("Stop", icon=":material/stop_circle:", key=f"stop_{place}_{job.id}", disabled=stopping, help=help):
        stop_job(store, job.id)
        st.rerun()


def _study_links(job: JobRecord, studies: Sequence[StudyRecord]) -> None:
    known = {study.name: study for study in studies}
    for name in studies_of(job):
        if name in known:
            parameters = {"study": name, "space": known[name].space}
            st.page_link(
                navigation.page("search"),
                label=f"Study {verbatim(name)}",
                icon=":material/monitoring:",
                query_params=parameters,
            )


def jobs_frame(jobs: Sequence[JobRecord]) -> pd.DataFrame:
    """Return one row per job, indexed by id: kind, state, progress, message, and times in the server's time zone."""
    rows = [
        (
            job.id,
            job.state.value,
            job.kind,
            ", ".join(studies_of(job)),
            min(1.0, max(0.0, job.progress)),
            job.message,
            job.host,
            job.created,
            job.heartbeat,
            " ".join(launching.arguments_of(job)),
        )
        for job in jobs
    ]
    names = ["id", "state", "kind", "studies", "progress", "message", "host", "begun", "seen", "command"]
    frame = pd.DataFrame(rows, columns=names).set_index("id")
    for name in ("begun", "seen"):
        frame[name] = [datetime.datetime.fromtimestamp(seconds) for seconds in frame[name]]
    return frame


def _table(jobs: Sequence[JobRecord]) -> None:
    if not jobs:
        st.info("No job is in these states.", icon=":material/search_off:")
        return

    # A new key resets the selection, which would otherwise point to another job's row.
    key = f"{TABLE}_{len(jobs)}_{jobs[0].id}"

    def select() -> None:
        state = st.session_state.get(key)
        rows = state.selection.rows if state is not None else []
        address.write("job", jobs[rows[0]].id if rows and rows[0] < len(jobs) else None)

    st.caption("Select a row to see its log. Times are in the time zone of the app's server.")
    downloads.table(
        jobs_frame(jobs),
        "jobs",
        key,
        column_config=COLUMNS,
        column_order=["state", "kind", "studies", "progress", "message", "begun", "seen", "host", "command"],
        hide_index=True,
        on_select=select,
        selection_mode="single-row",
        height=min(390, 38 + 35 * len(jobs)),
    )


def _chosen(store: GraphStore, job: JobRecord, studies: Sequence[StudyRecord]) -> None:
    """Show details of the job in the URL, by default the newest one."""
    st.subheader(f"Job {job.id}")
    _title(job)
    if job.message and job.message != job.state.value:
        st.text(job.message)
    with st.container(horizontal=True, vertical_alignment="center"):
        if is_alive(job):
            _stop_button(store, job, "chosen")
        elif launching.can_resume(job, studies):
            _resume_button(store, job)
        _study_links(job, studies)
    lines = address.segments("Lines of the log", LOG_LINES, "lines", LOG_LINES[0])
    _log(job, lines, [name for name in studies_of(job) if name in {study.name for study in studies}])


def _resume_button(store: GraphStore, job: JobRecord) -> None:
    if not st.button("Resume", icon=":material/play_circle:", key=f"resume_{job.id}"):
        return
    try:
        with services.starting(store) as jobs:
            begun = launching.resume(store, job, jobs)
    except InputError as error:
        components.show_error(error)
        return
    address.write("job", begun.id)
    st.rerun()


def _log(job: JobRecord, lines: int, studies: Sequence[str]) -> None:
    """Show the end of a job's log, refreshed while the job runs; without one, the logs of its studies' workers."""

    @access.drawn_again(study_progress.BUSY_EVERY if is_alive(job) else None)
    def log() -> None:
        try:
            store = services.store()
            current = next((one for one in store.jobs() if one.id == job.id), job)
        except StoreError as error:
            st.caption(f"The store does not answer: {verbatim(error)}")
            return
        text = read_log(current, lines)
        if text:
            _text(text, job.id, "jobs_log")
            return
        here = current.host == socket.gethostname()
        if not current.log or Path(current.log).exists():
            st.caption("The log is empty.")
        elif not here:
            st.caption(f"The log is on another machine: the job ran on {verbatim(current.host)}.")
        else:
            st.caption("It has no log file: a job that runs in a terminal prints its progress there.")
        for name in studies if here else ():
            said = read_end(workers_log(store.url, name), lines)
            if said:
                st.caption(f"Logs of the workers of study {verbatim(name)} on this machine, over all its runs:")
                _text(said, f"{name}-workers", f"jobs_workers_{name}")

    log()


def _text(text: str, name: str, key: str) -> None:
    st.code(text, language=None, wrap_lines=True, height=360)
    downloads.text_button(text, name, key)
