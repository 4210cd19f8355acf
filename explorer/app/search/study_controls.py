"""The controls of a study: stop, resume, extend, queue an architecture, download trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.app.search import launching, study_progress
from explorer.app.shared import components, downloads, frames, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import ExplorerError
from explorer.studies import managing, reports
from explorer.studies.jobs import is_alive, stop_job
from explorer.studies.queueing import MANUAL, enqueue
from explorer.studies.spec import StudySpec
from graphstore import GraphStore
from graphstore.errors import StoreInputError
from graphstore.records import JobRecord, JobState, StudyRecord

MESSAGE = "study_told"
"""Session state: the outcome of the last action, shown when the page is drawn next."""


def render(store: GraphStore, name: str, study: StudyRecord | None, jobs: Sequence[JobRecord]) -> None:
    """Draw the controls of a study.

    Args:
        store: where the study is.
        name: name of the study.
        study: its record; ``None`` if the job that is to create it has not done so yet.
        jobs: the store's jobs, as they are now.
    """
    message = st.session_state.pop(MESSAGE, None)
    if message:
        st.success(message, icon=":material/check:")
    job = study_progress.job_of(jobs, name)
    row = st.container(horizontal=True)
    if job is not None and is_alive(job):
        _stop(row, store, job)
    elif study is not None and managing.can_resume(study):
        _resume(row, store, lambda now: launching.resume_study(store, name, now))
    elif study is None and job is not None and launching.can_resume(job, []):
        _resume(row, store, lambda now: launching.resume(store, job, now))
    if study is None:
        return
    _take(row, store, study)
    with st.expander("Extend it, or queue an architecture", icon=":material/playlist_add:"):
        left, right = st.columns(2)
        with left:
            _extend(store, study)
        with right:
            _enqueue(store, study)


def _stop(row: DeltaGenerator, store: GraphStore, job: JobRecord) -> None:
    stopping = job.state is JobState.STOPPING
    label = "Stopping …" if stopping else "Stop this study's job"
    if row.button(label, icon=":material/stop_circle:", key="study_stop", disabled=stopping):
        _do(lambda: stop_job(store, job.id), "It stops after its current step; what is finished stays.")


def _resume(row: DeltaGenerator, store: GraphStore, begin: Callable[[Sequence[JobRecord]], object]) -> None:
    def start() -> None:
        with services.starting(store) as now:
            begin(now)

    if row.button("Resume this study", icon=":material/play_circle:", key="study_resume"):
        _do(start, "It continues in the background.")


def _take(row: DeltaGenerator, store: GraphStore, study: StudyRecord) -> None:
    file = downloads.file_name(study.name)
    for kind, mime, write in (
        ("CSV", "text/csv", reports.exported_csv),
        ("JSON", "application/json", reports.exported_json),
    ):
        row.download_button(
            f"Trials as {kind}",
            partial(_encoded, write, store, study),
            file_name=f"{file}.{kind.lower()}",
            mime=mime,
            icon=downloads.ICON,
            on_click="ignore",
            key=f"study_{kind.lower()}",
        )


def _encoded(write: Callable[[GraphStore, StudyRecord], str], store: GraphStore, study: StudyRecord) -> bytes:
    return write(store, study).encode()


def _extend(store: GraphStore, study: StudyRecord) -> None:
    spec, most = StudySpec.of(study), launching.budget_limit(study)
    limit = spec.hours
    trials = st.number_input(
        "Total trials",
        spec.budget,
        most,
        spec.budget,
        key=f"extend_trials_{study.name}",
        help=f"At most {most} from here.",
    )
    hours = None
    if limit is not None:
        top = max(limit, launching.MAX_HOURS)
        hours = st.number_input("Total hours", limit, top, limit, key=f"extend_hours_{study.name}")
    grown = int(trials) > spec.budget or (hours is not None and limit is not None and hours > limit)
    st.caption(f"Up to {most:,} trials from here." if most > spec.budget else "It has the largest number of trials.")
    if st.button("Extend", icon=":material/expand:", key="study_extend", disabled=not grown):
        _do(
            lambda: managing.extend_study(store, study, int(trials), hours),
            f"{study.name} may have {int(trials)} trials. If no job runs it, resume it.",
        )


def _enqueue(store: GraphStore, study: StudyRecord) -> None:
    known = services.architectures(study.space)
    text = st.text_input(
        "Architecture to try next",
        max_chars=64,
        placeholder="Id, its first 6 or more characters, or a name",
        key="study_enqueue_id",
        help="It counts in the budget; a used-up budget grows by one. A new architecture joins the space.",
    ).strip()

    def queue() -> str:
        launching.check_queue(store, study.name)
        return enqueue(store, study.name, services.find_architecture(text, known).spec).text

    if st.button("Queue it", icon=":material/playlist_add:", key="study_enqueue", disabled=not text):
        _do(queue)
    queued = [trial for trial in store.trials(study.name) if trial.info.get("origin") == MANUAL]
    if queued:
        table = frames.trials_frame(queued)[["trial", "state", "architecture", "value"]]
        downloads.table(table, f"{study.name}-queued", "study_queued", hide_index=True, placeholder="–")


def _do(action: Callable[[], object], message: str = "") -> None:
    """Run an action and draw the page again with a message, or what the action returns; or show why it failed."""
    try:
        done = action()
    except (ExplorerError, StoreInputError) as error:
        components.show_error(error)
        return
    st.session_state[MESSAGE] = message or verbatim(done)
    st.rerun()
