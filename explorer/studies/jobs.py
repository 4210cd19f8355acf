"""Jobs: detached processes of the command line that have a record in the store.

The app never trains in its own process: it launches ``archex …`` in a new process session. The process updates its own
record; any reader of the records finds out when the process has ended.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from explorer.errors import InputError
from explorer.library.workplace import log_folder
from explorer.progress import Reporter
from graphstore import GraphStore
from graphstore.errors import StoreError
from graphstore.records import JobRecord, JobState

HEARTBEAT_S = 2.0
STARTING_S = 60.0
"""Seconds after its launch within which a job must send its first heartbeat."""
SILENT_S = 20.0
"""Seconds without a heartbeat after which a job of another host counts as ended. If it was only slow, two jobs share
its study for a while: each trial still has one holder."""
POLL_S = 0.5
GONE = "its process is gone; resume it to continue where it was"
SEARCH = "search"
"""Kind of the jobs that run studies."""
ACTIVE = (JobState.STARTING, JobState.RUNNING, JobState.STOPPING)
"""States of a job that has not ended as far as its record says; ``is_alive`` says whether it has."""


def new_job(store: GraphStore, kind: str, info: Mapping[str, Any], now: float | None = None) -> JobRecord:
    """Store and return the record of a job that is about to start."""
    now = time.time() if now is None else now
    id = f"{kind}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{secrets.token_hex(3)}"
    log = log_folder(store.url) / f"{id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    job = JobRecord(id, kind, JobState.STARTING, 0, socket.gethostname(), now, 0.0, "starting", str(log), info, now)
    store.put_job(job)
    return job


def resume_arguments(studies: Sequence[str], place: Sequence[str] = ()) -> list[str]:
    """Return the arguments of ``archex`` that run stored studies to their end.

    Args:
        studies: names of the studies.
        place: options that say where their trials are evaluated.
    """
    return ["search", "resume", *studies, "--wait", *place]


def launch(store: GraphStore, kind: str, arguments: Sequence[str], info: Mapping[str, Any] | None = None) -> JobRecord:
    """Start ``archex ARGUMENTS`` as a detached process that outlives the caller.

    Args:
        store: where the job is recorded; the process uses the same store.
        kind: kind of the job, for people.
        arguments: arguments of the command line, without ``--store`` and ``--job``.
        info: further facts, stored with the job.
    """
    job = new_job(store, kind, {**(info or {}), "arguments": list(arguments)})
    command = [sys.executable, "-m", "explorer.cli.main", *arguments, "--store", store.url, "--job", job.id]
    with Path(job.log).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **store.login},
            start_new_session=True,
            close_fds=True,
        )
    started = {**job.info, "process_started": psutil.Process(process.pid).create_time()}
    job = store.update_job(job.id, pid=process.pid, info=started)
    # Reap the child when it ends, so that it never lingers as a zombie that looks alive.
    threading.Thread(target=process.wait, name=f"reap {job.id}", daemon=True).start()
    return job


def _process(job: JobRecord) -> psutil.Process | None:
    """Return the job's process if it runs on this host; never another process that got the same number."""
    if job.host != socket.gethostname() or not job.pid:
        return None
    try:
        process = psutil.Process(job.pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        same = abs(process.create_time() - float(job.info.get("process_started", 0.0))) < 1.0
        return process if alive and same else None
    except psutil.Error:
        return None


def is_alive(job: JobRecord, now: float | None = None) -> bool:
    """Return whether a job starts, runs or stops.

    Only its own host can look at a job's process, and ``refresh_jobs`` does so there. A job of another host counts as
    ended once it has sent no heartbeat for ``SILENT_S``, because a host that went down cannot update the record.

    Args:
        job: a job, as ``refresh_jobs`` returns it.
        now: seconds since the epoch; the present by default.
    """
    now = time.time() if now is None else now
    here = job.host == socket.gethostname()
    return job.state in ACTIVE and (here or now - (job.heartbeat or job.created) < _limit(job))


def _limit(job: JobRecord) -> float:
    return SILENT_S if job.heartbeat else STARTING_S


def studies_of(job: JobRecord) -> list[str]:
    """Return the names of the studies that a job runs."""
    names = job.info.get("studies")
    return [str(name) for name in names] if isinstance(names, list | tuple) else []


def refresh_jobs(store: GraphStore, now: float | None = None) -> list[JobRecord]:
    """Return all jobs, newest first; those whose process has ended without a word become ``lost``."""
    now = time.time() if now is None else now
    jobs = []
    for job in store.jobs():
        if job.state in ACTIVE and job.host == socket.gethostname():
            silent = job.pid == 0 and now - job.created > STARTING_S
            if silent or (job.pid and _process(job) is None):
                # Read again: the job may have ended since ``store.jobs()``.
                job = next((j for j in store.jobs() if j.id == job.id), job)
                if job.state in ACTIVE:
                    job = _gone(store, job)
        jobs.append(job)
    return jobs


def _gone(store: GraphStore, job: JobRecord) -> JobRecord:
    """Record that a job's process ended without updating its record; the log of one that had not begun says why."""
    if job.state is JobState.STARTING:
        message = read_log(job, 1) or "its process did not start"
        return store.update_job(job.id, state=JobState.FAILED, message=message[:500])
    return store.update_job(job.id, state=JobState.LOST, message=GONE)


def require_free(store: GraphStore, studies: Sequence[str], own_job: str = "", now: float | None = None) -> None:
    """Raise InputError if another job runs one of these studies."""
    for study in studies:
        job = job_of(store, study, now)
        if job is not None and job.id != own_job:
            remedy = f"Wait for it, run `archex search stop {study}`, or choose another study name."
            raise InputError("study", "not be running already", f"{study} in job {job.id}", remedy)


def wait_until_free(store: GraphStore, studies: Sequence[str], own_job: str, say: Callable[[str], None]) -> None:
    """Wait until the job of another host that ran one of these studies shows whether it is alive.

    A batch system may run a killed command again immediately and on another host, where nobody can see its process.
    Only the heartbeat tells, by this host's clock, because the clocks of two hosts may differ.

    Args:
        store: where the jobs are.
        studies: names of the studies.
        own_job: id of the job that asks; empty for none.
        say: called with a line for the user before it waits.

    Raises:
        InputError: another job runs one of the studies.
    """
    for study in studies:
        while (job := job_of(store, study)) is not None and job.id != own_job and job.host != socket.gethostname():
            say(f"study {study}: job {job.id} may still run on {job.host}; waiting up to {_limit(job):g} s for a sign")
            if not _falls_silent(store, job):
                break
            store.update_job(job.id, state=JobState.LOST, message=GONE)
            say(f"study {study}: job {job.id} sent no heartbeat; continuing")
    require_free(store, studies, own_job)


def _falls_silent(store: GraphStore, job: JobRecord) -> bool:
    """Wait; return whether an active job of another host sends no heartbeat for so long that it must have ended."""
    deadline = time.monotonic() + _limit(job)
    while True:
        now = next(one for one in store.jobs() if one.id == job.id)
        if now.state not in ACTIVE or now.heartbeat != job.heartbeat:
            return False
        if time.monotonic() > deadline or not is_alive(now):
            return True
        time.sleep(POLL_S)


def job_of(store: GraphStore, study: str, now: float | None = None) -> JobRecord | None:
    """Return the job that runs a study; ``None`` if none does."""
    now = time.time() if now is None else now
    jobs = refresh_jobs(store, now)
    return next((job for job in jobs if is_alive(job, now) and study in studies_of(job)), None)


def stop_job(store: GraphStore, id: str) -> JobRecord:
    """Ask a running job to stop after the current step; finished trials stay, running ones can be resumed."""
    job = next((job for job in refresh_jobs(store) if job.id == id), None)
    if job is None or job.state not in ACTIVE:
        return job or store.update_job(id)
    process = _process(job)
    job = store.update_job(id, state=JobState.STOPPING, message="stopping")
    if process is not None:
        process.send_signal(signal.SIGTERM)
    return job


def read_log(job: JobRecord, lines: int = 200) -> str:
    """Return the end of a job's log; empty if there is none or the job belongs to another host."""
    return read_end(Path(job.log), lines) if job.host == socket.gethostname() else ""


def read_end(path: Path, lines: int) -> str:
    """Return the last lines of a log; empty if the file does not exist."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 200 * lines))
            text = log.read().decode("utf-8", errors="replace")
    # Any program that writes to the store may have stored the path, so it may be invalid.
    except (OSError, ValueError):
        return ""
    return "\n".join(text.splitlines()[-lines:])


class JobReporter:
    """Sends heartbeats of a job, and passes its progress on to another reporter."""

    def __init__(self, store: GraphStore, id: str, inner: Reporter) -> None:
        self._store, self._id, self._inner = store, id, inner
        self._changes: dict[str, Any] = {}
        self.stopping = False
        """Whether the job was asked to stop, perhaps from another machine."""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat {id}", daemon=True)

    def update(self, phase: str, done: float, total: float, note: str = "") -> None:
        """Keep the progress; the next heartbeat writes it."""
        self._inner.update(phase, done, total, note)
        share = done / total if total else 0.0
        self._changes = {"progress": min(1.0, share), "message": f"{phase}: {note or f'{share:.0%}'}"}

    def start(self) -> None:
        """Start sending heartbeats."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sending heartbeats."""
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_S):
            try:
                job = self._store.update_job(self._id, heartbeat=time.time(), **self._changes)
                self.stopping = job.state is JobState.STOPPING
            except StoreError:
                continue  # The store does not answer now; the next heartbeat tries again.


@contextmanager
def running_job(store: GraphStore, job: JobRecord, inner: Reporter) -> Iterator[JobReporter]:
    """Run a block as a job: heartbeats while it runs, its outcome at the end. SIGTERM stops it, as Ctrl-C does."""
    me = psutil.Process()
    info = {**job.info, "process_started": me.create_time()}
    store.update_job(job.id, state=JobState.RUNNING, pid=me.pid, heartbeat=time.time(), info=info, message="running")
    reporter = JobReporter(store, job.id, inner)
    reporter.start()
    previous = None
    if threading.current_thread() is threading.main_thread():
        previous = signal.signal(signal.SIGTERM, _interrupt)
    state, message = JobState.FAILED, "failed"
    try:
        yield reporter
        state, message = JobState.DONE, "done"
    except (KeyboardInterrupt, SystemExit):
        state, message = JobState.STOPPED, "stopped; resume it to continue where it was"
        raise
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        raise
    finally:
        reporter.stop()
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
        progress = {"progress": 1.0} if state is JobState.DONE else {}
        store.update_job(job.id, state=state, message=message[:500], heartbeat=time.time(), **progress)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
