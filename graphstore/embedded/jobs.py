"""Jobs in the SQLite file."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from graphstore.checks import changed_job, check_job, missing
from graphstore.contract import JobStore
from graphstore.embedded.database import bump
from graphstore.embedded.part import Part
from graphstore.errors import Code
from graphstore.records import JobRecord, JobState

_FIELDS = [field.name for field in dataclasses.fields(JobRecord)]
_JOB = f"SELECT {', '.join(_FIELDS)} FROM job"


class Jobs(Part, JobStore):
    """The job protocol."""

    def put_job(self, job: JobRecord) -> None:
        """Create or replace a job."""
        row = _row(job)
        with self._database.writing() as db:
            if db.execute(_JOB + " WHERE id = ?", (job.id,)).fetchone() != row:
                db.execute(f"INSERT OR REPLACE INTO job VALUES ({', '.join('?' * len(row))})", row)
                bump(db, "jobs")

    def update_job(self, id: str, **changes: Any) -> JobRecord:
        """Change fields of a job (``state``, ``pid``, ``heartbeat``, ``progress``, …) and return it."""
        with self._database.writing() as db:
            before = db.execute(_JOB + " WHERE id = ?", (id,)).fetchone()
            if before is None:
                raise missing("job", id, code=Code.UNKNOWN_JOB)
            job = changed_job(_job(before), changes)
            row = _row(job)
            if row != before:
                db.execute(f"UPDATE job SET {', '.join(f'{name} = ?' for name in _FIELDS)} WHERE id = ?", (*row, id))
                bump(db, "jobs")
            return job

    def jobs(self) -> list[JobRecord]:
        """Return all jobs, newest first, ties by id."""
        with self._database.reading() as db:
            rows = db.execute(_JOB + " ORDER BY created DESC, id").fetchall()
        return [_job(row) for row in rows]


def _row(job: JobRecord) -> tuple[Any, ...]:
    values = {name: getattr(job, name) for name in _FIELDS}
    values |= {"info": check_job(job), "state": JobState(job.state).value}
    return tuple(values.values())


def _job(row: tuple[Any, ...]) -> JobRecord:
    values = dict(zip(_FIELDS, row, strict=True))
    return JobRecord(**{**values, "state": JobState(values["state"]), "info": json.loads(values["info"])})
