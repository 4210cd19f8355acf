"""Parts of the Search page that draw themselves anew while work goes on. They only display.

What has buttons is drawn outside of them; when a job or a study changes its state, they ask for a whole new page.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from explorer.app import components, frames, launching, navigation, services, study_figures
from explorer.app.messages import literal
from explorer.runner.jobs import ACTIVE, read_log, refresh_jobs
from graphstore import GraphStore
from graphstore.errors import NotFoundError, StoreError
from graphstore.records import JobRecord, JobState, StudyRecord, TrialRecord, TrialStatus

BUSY_EVERY, IDLE_EVERY = "2s", "10s"
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
    "origin": st.column_config.TextColumn("origin", help="How the policy chose it."),
    "acquisition": st.column_config.TextColumn("acquisition", help="The figures behind the choice."),
    "seconds": st.column_config.NumberColumn("seconds", format="%.1f"),
    "link": st.column_config.LinkColumn("", display_text="open", help="Open the Architecture page."),
}
Fingerprint = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


def fingerprint(jobs: Sequence[JobRecord], studies: Sequence[StudyRecord]) -> Fingerprint:
    """What a page with buttons depends on: which jobs and studies there are, and their states."""
    return (
        tuple((job.id, job.state.value) for job in jobs),
        tuple((study.name, study.state.value) for study in studies),
    )


def watch(drawn: Fingerprint, busy: bool) -> None:
    """Ask for a new page once jobs or studies are others than those drawn."""

    @st.fragment(run_every=BUSY_EVERY if busy else IDLE_EVERY)
    def indicator() -> None:
        try:
            store = services.store()
            changed = fingerprint(refresh_jobs(store), store.studies()) != drawn
        except StoreError as error:
            st.caption(f":red[●] The store does not answer: {error}")
            return
        if changed:
            st.rerun()
        st.caption(":green[●] Live" + (": a job is running." if busy else ": nothing is running."))

    with st.sidebar:
        indicator()


def badge(state: JobState) -> str:
    """A job's state in its colour, as Markdown."""
    return f":{STATE_COLORS[state]}-badge[{state.value}]"


def job_progress(id: str) -> None:
    """Progress bar and message of a running job, drawn anew while it runs."""

    @st.fragment(run_every=BUSY_EVERY)
    def progress() -> None:
        try:
            job = next((job for job in services.store().jobs() if job.id == id), None)
        except StoreError as error:
            st.caption(f"The store does not answer: {error}")
            return
        if job is not None:
            st.progress(min(1.0, max(0.0, job.progress)), text=literal(job.message or job.state.value))

    progress()


def study_view(name: str, busy: bool) -> None:
    """Progress, figures, trials and log of one study, drawn anew while a job works on it."""

    @st.fragment(run_every=BUSY_EVERY if busy else None)
    def view() -> None:
        try:
            _draw_study(services.store(), name)
        except NotFoundError:
            st.info(f"Study {name} has not begun yet; its job is starting.", icon=":material/hourglass_empty:")
        except StoreError as error:
            st.error(literal(error), icon=":material/error:")

    view()


def _draw_study(store: GraphStore, name: str) -> None:
    study = store.study(name)
    trials = store.trials(name)
    _headline(study, trials)
    study_figures.draw(study, trials)
    _trials(study, frames.trials_frame(trials))
    log = next((read_log(job, LOG_LINES) for job in store.jobs() if name in launching.studies_of(job)), "")
    with st.expander("End of the log"):
        st.code(log or "Nothing has been logged.", language=None, wrap_lines=True, height=260)


def _headline(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    done = sum(trial.state is TrialStatus.COMPLETE for trial in trials)
    failed = sum(trial.state is TrialStatus.FAILED for trial in trials)
    stale = sum(trial.state is TrialStatus.STALE for trial in trials)
    running = sum(trial.state is TrialStatus.RUNNING for trial in trials)
    known = [(trial.value, trial.architecture) for trial in trials if trial.value is not None]
    text = f"{done} of {study.budget} done" + (f", {running} running" if running else "")
    text += (f", {failed} failed" if failed else "") + (f", {stale} stale and to be tried again" if stale else "")
    st.progress(min(1.0, (done + failed) / max(1, study.budget)), text=text)
    best, id = max(known, default=(None, ""))
    so_far = f"No {study.objective} yet" if best is None else f"**{best:.4f}** is the best {study.objective} so far"
    st.markdown(f"{so_far} · {study.policy}, seed {study.seed}, on {study.space} · {study.state.value}")
    if best is not None:
        navigation.link("architecture", id, study.space, "Open the best")


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


def is_active(job: JobRecord) -> bool:
    """Whether the job is starting, running or stopping."""
    return job.state in ACTIVE
