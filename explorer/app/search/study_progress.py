"""Fragments of the Search page that refresh while jobs run. They only display.

Widgets are outside these fragments; when a job or a study changes its state, a fragment reruns the whole page.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from explorer.app import navigation
from explorer.app.search import launching, study_figures
from explorer.app.shared import access, components, frames, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import ExplorerError
from explorer.studies import reports
from explorer.studies.jobs import ACTIVE, is_alive, read_log, refresh_jobs, studies_of
from explorer.studies.spec import StudySpec
from graphstore import GraphStore
from graphstore.errors import NotFoundError, StoreError
from graphstore.records import JobRecord, JobState, StudyRecord, StudyState, TrialRecord, TrialStatus

BUSY_EVERY, IDLE_EVERY = "2s", "10s"
BROKEN_OFF = {JobState.STOPPED: "Stopped.", JobState.LOST: "Its process is gone."}
"""Job states with a Resume button, for which the command-line hint is omitted."""
LOG_LINES = 40
STATE_COLORS = {
    JobState.STARTING: "blue",
    JobState.RUNNING: "blue",
    JobState.STOPPING: "orange",
    JobState.DONE: "green",
    JobState.STOPPED: "gray",
    JobState.FAILED: "red",
    JobState.LOST: "red",
}
TRIAL_COLUMNS = {
    "trial": st.column_config.NumberColumn("trial", width="small"),
    "value": st.column_config.NumberColumn("value", format="%.4f"),
    "origin": st.column_config.TextColumn("origin", help="How the policy proposed it."),
    "acquisition": st.column_config.TextColumn("acquisition", help="Acquisition values of the proposal."),
    "seconds": st.column_config.NumberColumn("seconds", format="%.1f"),
    "link": st.column_config.LinkColumn("", display_text="open", help="Open the Architecture page."),
}
Fingerprint = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


def fingerprint(jobs: Sequence[JobRecord], studies: Sequence[StudyRecord]) -> Fingerprint:
    """Return the jobs, the studies and their states, on which the widgets of the page depend."""
    return (
        tuple((job.id, job.state.value) for job in jobs),
        tuple((study.name, study.state.value) for study in studies),
    )


def watch(drawn: Fingerprint, busy: bool) -> None:
    """Rerun the page when jobs or studies differ from those drawn."""

    @access.drawn_again(BUSY_EVERY if busy else IDLE_EVERY)
    def indicator() -> None:
        try:
            store = services.store()
            changed = fingerprint(refresh_jobs(store), store.studies()) != drawn
        except StoreError as error:
            st.caption(f":red[●] The store does not answer: {verbatim(error)}")
            return
        if changed:
            st.rerun()
        st.caption(":green[●] Live" + (": a job is running." if busy else ": nothing is running."))

    with st.sidebar:
        indicator()


def badge(state: JobState) -> str:
    """Return a job's state as coloured Markdown."""
    return f":{STATE_COLORS[state]}-badge[{state.value}]"


def job_progress(id: str) -> None:
    """Show the progress bar and message of a running job, refreshed while it runs."""

    @access.drawn_again(BUSY_EVERY)
    def progress() -> None:
        try:
            job = next((job for job in services.store().jobs() if job.id == id), None)
        except StoreError as error:
            st.caption(f"The store does not answer: {verbatim(error)}")
            return
        if job is not None:
            st.progress(min(1.0, max(0.0, job.progress)), text=verbatim(job.message or job.state.value))

    progress()


def message(job: JobRecord, studies: Sequence[StudyRecord]) -> str:
    """Return a job's last message as Markdown; empty if the state says it all."""
    silent = job.state in ACTIVE and not is_alive(job)
    broken_off = f"No heartbeat from {verbatim(job.host)} any more." if silent else BROKEN_OFF.get(job.state)
    if broken_off:
        return broken_off + (" Resume it to continue where it was." if launching.can_resume(job, studies) else "")
    return "" if job.message == job.state.value else verbatim(job.message)


def job_of(jobs: Sequence[JobRecord], study: str) -> JobRecord | None:
    """Return the job that runs a study, or the newest one that did."""
    own = [job for job in jobs if study in studies_of(job)]
    return next((job for job in own if is_alive(job)), own[0] if own else None)


def study_view(name: str, busy: bool) -> None:
    """Show job, progress, trials and log of one study, refreshed while a job runs it."""

    @access.drawn_again(BUSY_EVERY if busy else None)
    def view() -> None:
        try:
            _draw_study(services.store(), name)
        except (ExplorerError, StoreError) as error:
            components.show_error(error)

    view()


def _draw_study(store: GraphStore, name: str) -> None:
    job = job_of(store.jobs(), name)
    try:
        study = store.study(name)
    except NotFoundError:
        if job is not None:
            st.markdown(_state(job, []))
        st.info(f"Study {verbatim(name)} has not started yet.", icon=":material/hourglass_empty:")
        return
    trials = store.trials(name)
    _headline(store, study, trials, job)
    study_figures.draw(study, trials, job is not None and is_alive(job))
    _trials(study, frames.trials_frame(trials))
    log = "" if job is None else read_log(job, LOG_LINES)
    with st.expander("End of the log"):
        st.code(log or "The log is empty.", language=None, wrap_lines=True, height=260)


def _state(job: JobRecord, studies: Sequence[StudyRecord]) -> str:
    return f"{badge(job.state)} {message(job, studies)}"


def _headline(store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord], job: JobRecord | None) -> None:
    counts, spec = reports.trial_counts(trials), StudySpec.of(study)
    done, failed = counts[TrialStatus.COMPLETE], counts[TrialStatus.FAILED]
    stale, running = counts[TrialStatus.STALE], counts[TrialStatus.RUNNING]
    text = f"{done} of {spec.budget} done" + (f", {running} running" if running else "")
    text += (f", {failed} failed" if failed else "") + (f", {stale} stale, to be retried" if stale else "")
    st.progress(min(1.0, (done + failed) / max(1, spec.budget)), text=text)
    objective = verbatim(spec.objective)
    best = reports.best_allowed(store, study, trials)
    so_far = f"No {objective} yet" if best is None else f"**{best.value:.4f}** is the best {objective} so far"
    st.markdown(f"{so_far} · {spec.policy}, seed {spec.seed}, on {verbatim(study.space)}{_study_state(study, job)}")
    if best is not None:
        navigation.link("architecture", best.architecture, study.space, "Open the best")


def _study_state(study: StudyRecord, job: JobRecord | None) -> str:
    """Return the state of the study's job if it is running or failed, otherwise the study's own state."""
    if job is not None:
        ended = job.state in (JobState.DONE, JobState.STOPPED)  # The study's own state says so as well.
        if is_alive(job) or not (ended or study.state is StudyState.DONE):
            return f"  \n{_state(job, [study])}"
    return f" · {study.state.value}"


def _trials(study: StudyRecord, table: pd.DataFrame) -> None:
    if table.empty:
        return
    shown = table.iloc[::-1].copy()
    shown.insert(0, "link", components.addresses(shown["architecture"], study.space))
    shown["architecture"] = shown["architecture"].str[:8]
    order = [
        "link",
        "trial",
        "state",
        "progress",
        "value",
        "architecture",
        "origin",
        "acquisition",
        "seconds",
        "reason",
    ]
    columns = [name for name in order if name not in ("progress", "reason") or (shown[name] != "").any()]
    st.dataframe(
        shown,
        column_order=columns,
        column_config=TRIAL_COLUMNS,
        hide_index=True,
        key="search_trials",
        placeholder=components.UNKNOWN,
        height=min(390, 38 + 35 * len(shown)),
    )
