"""Jobs in Neo4j."""

from __future__ import annotations

import json
from typing import Any

from graphstore.checks import changed_job, check_job, missing
from graphstore.contract import JobStore
from graphstore.errors import Code
from graphstore.neo4j.graph import Statements
from graphstore.neo4j.part import Part
from graphstore.records import JobRecord, JobState


class Jobs(Part, JobStore):
    """The job protocol."""

    def put_job(self, job: JobRecord) -> None:
        """Create or replace a job."""
        facts = _facts(job)
        self._graph.write(["jobs"], lambda db: _put(db, facts))

    def update_job(self, id: str, **changes: Any) -> JobRecord:
        """Change fields of a job (``state``, ``pid``, ``heartbeat``, ``progress``, …) and return it."""

        def work(db: Statements) -> JobRecord:
            row = db.one("MATCH (j:ArchexJob {id: $id}) RETURN properties(j) AS facts", id=id)
            if row is None:
                raise missing("job", id, code=Code.UNKNOWN_JOB)
            job = changed_job(_job(row["facts"]), changes)
            _put(db, _facts(job))
            return job

        return self._graph.write(["jobs"], work)

    def jobs(self) -> list[JobRecord]:
        """Return all jobs, newest first, ties by id."""
        rows = self._graph.read(lambda db: db.rows("MATCH (j:ArchexJob) RETURN properties(j) AS facts"))
        return sorted((_job(row["facts"]) for row in rows), key=lambda job: (-job.created, job.id))


def _put(db: Statements, facts: dict[str, Any]) -> None:
    stored = db.one("MATCH (j:ArchexJob {id: $id}) RETURN properties(j) AS facts", id=facts["id"])
    if stored is None or stored["facts"] != facts:
        db.rows("MERGE (j:ArchexJob {id: $facts.id}) SET j:Job, j = $facts", facts=facts)
        db.bump("jobs")


def _facts(job: JobRecord) -> dict[str, Any]:
    return {**vars(job), "info": check_job(job), "state": JobState(job.state).value}


def _job(facts: dict[str, Any]) -> JobRecord:
    return JobRecord(**{**facts, "state": JobState(facts["state"]), "info": json.loads(facts["info"])})
