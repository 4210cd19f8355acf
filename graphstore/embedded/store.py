"""The embedded store: one SQLite file that many threads and processes may use at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from graphstore.checks import check_topic
from graphstore.contract import GraphStore
from graphstore.embedded.bulk import BulkPart
from graphstore.embedded.database import Database, revision_of
from graphstore.embedded.find import FindPart
from graphstore.embedded.jobs import JobsPart
from graphstore.embedded.library import LibraryPart
from graphstore.embedded.lineage import LineagePart
from graphstore.embedded.maintenance import unsound
from graphstore.embedded.scores import ScoresPart
from graphstore.embedded.similarity import SimilarityPart
from graphstore.embedded.studies import StudiesPart
from graphstore.vectors import VectorCache


class SQLiteStore(
    LibraryPart, SimilarityPart, ScoresPart, StudiesPart, JobsPart, FindPart, LineagePart, BulkPart, GraphStore
):
    """A store in a SQLite file.

    Args:
        path: the file.
        create: whether a missing file is made.
        clock: seconds since the epoch, for when a trial was created.

    Raises:
        StoreInputError: the file is missing and ``create`` is false, or is to be made in a folder that is missing or
            not writable; every write to one that is not writable.
        ForeignFileError: the file is no store, or is damaged; it is left as it is.
        StoreVersionError: the file is newer, or older and to be migrated first; it is left as it is.
        StoreError: the file cannot be opened.
    """

    def __init__(self, path: Path, create: bool = True, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(path, create)
        self._vectors = VectorCache()
        self._clock = clock
        self.url = f"sqlite:///{self._database.path}"

    def close(self) -> None:
        """Release connections."""
        self._database.close()

    def identity(self) -> str:
        """The same text for two handles exactly if both are on one store: its file, by whatever name."""
        file = self._database.path.stat()
        return f"file {file.st_dev}:{file.st_ino}"

    def problems(self) -> list[str]:
        """What makes the store no sound catalogue, one sentence each."""
        with self._database.reading() as db:
            return list(unsound(db))

    def revision(self, topic: str = "") -> int:
        """A number that grows with every change of a topic, or of anything."""
        check_topic(topic)
        with self._database.reading() as db:
            return revision_of(db, topic)
