"""The job protocol: processes that work for the users of a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from graphstore.records import JobRecord


class JobStore(ABC):
    """Jobs. Their revision topic is ``jobs``."""

    @abstractmethod
    def put_job(self, job: JobRecord) -> None:
        """Create or replace a job.

        Raises:
            StoreInputError: a field breaks a rule.
        """

    @abstractmethod
    def update_job(self, id: str, **changes: Any) -> JobRecord:
        """Change fields of a job (``state``, ``pid``, ``heartbeat``, ``progress``, …) and return it.

        Raises:
            NotFoundError: the job is unknown.
            StoreInputError: a field does not exist, or a value breaks a rule.
        """

    @abstractmethod
    def jobs(self) -> list[JobRecord]:
        """Return all jobs, newest first, ties by id."""
