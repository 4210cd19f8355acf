"""The server store: a Neo4j database, shared by threads, processes and machines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from graphstore.checks import check_topic
from graphstore.contract import GraphStore, LibraryStore
from graphstore.cypher import Answer
from graphstore.neo4j.console import answer
from graphstore.neo4j.find import Questions
from graphstore.neo4j.graph import Graph
from graphstore.neo4j.jobs import Jobs
from graphstore.neo4j.library import Architectures
from graphstore.neo4j.maintenance import inconsistencies
from graphstore.neo4j.scores import Scores
from graphstore.neo4j.similarity import Similarity
from graphstore.neo4j.studies import Studies


class Library(Architectures, Similarity, Questions, LibraryStore):
    """The library protocol, in three files: architectures, vectors and kernels, queries."""


class Variables(dict[str, str]):
    """Environment variables whose values are not shown, because they hold a password."""

    def __repr__(self) -> str:
        return f"<the values of {', '.join(self)}>"


class Neo4jStore(Library, Scores, Studies, Jobs, GraphStore):
    """A store in a Neo4j database.

    Args:
        url: scheme, host and port; no password.
        user: name to log in with; empty for a server without authentication.
        password: password of the user; neither ``url`` nor any error shows it.
        database: name of the database; empty for the server's default.
        clock: seconds since the epoch, for when a trial was created.
        restart: starts the server if it has ended, see ``Graph``.

    Raises:
        StoreError: the server does not answer, or refuses the log-in.
        StoreVersionError: the store has a newer version, or an older one that must be migrated.
        StoreInputError: the server is too old.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        database: str = "",
        clock: Callable[[], float] = time.time,
        restart: Callable[[], None] | None = None,
    ) -> None:
        self._graph = Graph(url, user, password, database, restart=restart)
        self._clock = clock
        self.url = self._graph.url
        self.login = Variables(NEO4J_USER=user, NEO4J_PASSWORD=password) if password else {}

    def close(self) -> None:
        """Release connections. A closed store cannot be used again."""
        self._graph.close()

    def identity(self) -> str:
        """Return a text that is equal for two handles exactly if both are on the same store, also by different URLs."""
        query = "MATCH (m:ArchexMeta {topic: 'schema'}) RETURN m.identity AS identity"
        return str((self._graph.read(lambda db: db.one(query)) or {}).get("identity"))

    def mark_copy(self, unfinished: bool) -> None:
        """Note that a copy into this store has begun, or has ended."""
        query = "MATCH (m:ArchexMeta {topic: 'schema'}) SET m.copying = CASE WHEN $unfinished THEN true END"
        self._graph.write([], lambda db: db.rows(query, unfinished=unfinished))

    def problems(self) -> list[str]:
        """Return the inconsistencies of the store, one sentence each; see ``maintenance.check``."""
        return self._graph.read(lambda db: list(inconsistencies(db)))

    def revision(self, topic: str = "") -> int:
        """Return a number that grows with every change, for caches."""
        check_topic(topic)
        return self._graph.read(lambda db: db.revision(topic))

    def console(self, text: str, parameters: Mapping[str, Any], row_limit: int, time_limit_s: float) -> Answer:
        """Run a reading Cypher statement. See ``graphstore.cypher.run_query``, which checks the arguments."""
        return answer(self._graph, text, dict(parameters), row_limit, time_limit_s)
