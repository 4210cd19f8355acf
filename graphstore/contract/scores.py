"""The score protocol: scores, measurements and the lineage of weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from graphstore.records import LineageRecord, MeasurementRecord, ScoreRecord


class ScoreStore(ABC):
    """Scores, measurements and lineage. Their revision topic is ``scores``."""

    @abstractmethod
    def add_scores(self, scores: Iterable[ScoreRecord]) -> int:
        """Add scores, in one transaction; a score that is stored already stays as it is.

        Returns:
            The number of scores that were new.

        Raises:
            NotFoundError: an architecture is unknown.
            StoreInputError: a record breaks a rule.
        """

    @abstractmethod
    def scores(
        self, space: str | None = None, architecture: str | None = None, task: str | None = None
    ) -> list[ScoreRecord]:
        """Return the scores that fit, ordered by architecture, task, metric, source, seed, id.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def remove_scores(self, origin: str) -> int:
        """Delete all scores of an origin (``ScoreRecord.origin``), in one transaction.

        Returns:
            The number of scores that were deleted.
        """

    @abstractmethod
    def add_measurements(self, measurements: Iterable[MeasurementRecord]) -> int:
        """Add or replace measurements, in one transaction.

        Returns:
            The number of measurements that were new.

        Raises:
            NotFoundError: an architecture is unknown.
            StoreInputError: a record breaks a rule.
        """

    @abstractmethod
    def measurements(self, space: str | None = None, architecture: str | None = None) -> list[MeasurementRecord]:
        """Return the measurements that fit, ordered by architecture, device, quantity.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def remove_measurements(self, device: str, quantity: str | None = None) -> int:
        """Delete the measurements of a device, or only those of a quantity, in one transaction.

        Returns:
            The number of measurements that were deleted.
        """

    @abstractmethod
    def add_lineage(self, records: Sequence[LineageRecord]) -> int:
        """Add which runs inherited weights from which, in one transaction.

        A record with the run and the donor run of a stored one is not written.

        Returns:
            The number of records that were new.

        Raises:
            NotFoundError: an architecture is unknown.
            StoreInputError: a run is its own donor, or the share is not within 0 and 1.
        """

    @abstractmethod
    def lineage(self, architecture: str | None = None) -> list[LineageRecord]:
        """Return the records upstream of an architecture's runs: its own, then its donors', and so on; each once.

        They are ordered by distance, run, donor run; without an architecture all records, by run and donor run.
        """
