"""The embedded store: one SQLite file, shared by threads and processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from graphstore.checks import check_topic
from graphstore.contract import GraphStore, LibraryStore
from graphstore.embedded import schema
from graphstore.embedded.database import Database, revision_of
from graphstore.embedded.find import Questions
from graphstore.embedded.jobs import Jobs
from graphstore.embedded.library import Architectures
from graphstore.embedded.maintenance import LACKING, inconsistencies
from graphstore.embedded.place import network_risks
from graphstore.embedded.scores import Scores
from graphstore.embedded.similarity import Similarity
from graphstore.embedded.studies import Studies
from graphstore.vectors import VectorCache


class Library(Architectures, Similarity, Questions, LibraryStore):
    """The library protocol, in three files: architectures, vectors and kernels, queries."""


class SQLiteStore(Library, Scores, Studies, Jobs, GraphStore):
    """A store in a SQLite file.

    Args:
        path: the file.
        create: whether a missing file is created.
        clock: seconds since the epoch, for when a trial was created.

    Raises:
        StoreInputError: the file is missing and ``create`` is false, or its folder is missing or not writable; also
            every write to a file that is not writable.
        ForeignFileError: the file is not a store, or is damaged; it is not changed.
        StoreVersionError: the file has a newer version, or an older one that must be migrated; it is not changed.
        StoreError: the file cannot be opened.
    """

    def __init__(self, path: Path, create: bool = True, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(path, create)
        self._vectors = VectorCache()
        self._clock = clock
        self.url = f"sqlite:///{self._database.path}"
        self.risks = (*((LACKING,) if self._database.lacks_log else ()), *network_risks(self._database.path))

    def close(self) -> None:
        """Release connections. A closed store cannot be used again."""
        self._database.close()

    def identity(self) -> str:
        """Return a text that is equal for two handles exactly if both are on the same store, also by different URLs."""
        file = self._database.path.stat()
        return f"file {file.st_dev}:{file.st_ino}"

    def mark_copy(self, unfinished: bool) -> None:
        """Note that a copy into this store has begun, or has ended."""
        with self._database.writing() as db:
            schema.set_entry(db, schema.COPYING, int(unfinished))

    def problems(self) -> list[str]:
        """Return the inconsistencies of the store, one sentence each; see ``maintenance.check``."""
        with self._database.reading() as db:
            return list(inconsistencies(db))

    def revision(self, topic: str = "") -> int:
        """Return a number that grows with every change, for caches."""
        check_topic(topic)
        with self._database.reading() as db:
            return revision_of(db, topic)
