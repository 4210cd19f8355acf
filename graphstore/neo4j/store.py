"""The server store: a Neo4j database that many threads and machines may use at once."""

from __future__ import annotations

import time
from collections.abc import Callable

from graphstore.checks import check_topic
from graphstore.contract import GraphStore
from graphstore.neo4j.bulk import BulkPart
from graphstore.neo4j.console import ConsolePart
from graphstore.neo4j.find import FindPart
from graphstore.neo4j.graph import Graph
from graphstore.neo4j.jobs import JobsPart
from graphstore.neo4j.library import LibraryPart
from graphstore.neo4j.lineage import LineagePart
from graphstore.neo4j.maintenance import unsound
from graphstore.neo4j.scores import ScoresPart
from graphstore.neo4j.similarity import SimilarityPart
from graphstore.neo4j.studies import StudiesPart


class Neo4jStore(
    LibraryPart,
    SimilarityPart,
    ScoresPart,
    StudiesPart,
    JobsPart,
    FindPart,
    LineagePart,
    BulkPart,
    ConsolePart,
    GraphStore,
):
    """A store in a Neo4j database.

    Args:
        url: scheme, host and port; no password.
        user: name to log in with; empty for a server without authentication.
        password: password of the user; neither ``url`` nor any error shows it.
        database: name of the database; empty for the server's default.
        clock: seconds since the epoch, for when a trial was created.

    Raises:
        StoreError: the server does not answer, or refuses the log-in.
        StoreVersionError: the store in it is newer, or older and to be migrated first.
        StoreInputError: the server is too old.
    """

    def __init__(
        self, url: str, user: str, password: str, database: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._graph = Graph(url, user, password, database)
        self._clock = clock
        self.url = self._graph.url

    def close(self) -> None:
        """Release connections."""
        self._graph.close()

    def identity(self) -> str:
        """The same text for two handles exactly if both are on one store, by whatever address."""
        query = "MATCH (m:Meta {topic: 'schema'}) RETURN m.identity AS identity"
        return str((self._graph.read(lambda db: db.one(query)) or {}).get("identity"))

    def problems(self) -> list[str]:
        """What makes the store no sound catalogue, one sentence each."""
        return self._graph.read(lambda db: list(unsound(db)))

    def revision(self, topic: str = "") -> int:
        """A number that grows with every change of a topic, or of anything."""
        check_topic(topic)
        return self._graph.read(lambda db: db.revision(topic))
