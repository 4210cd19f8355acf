"""Transactions on a Neo4j server, and its errors in the store's own words.

Every topic has one node (:Meta {topic, revision}). A writer locks the nodes of its topics first, in the order of their
names, so that writers of a topic come one after the other and cannot deadlock over what they write; transactions of
different topics that still do are retried by the driver.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import neo4j
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from graphstore.checks import TOPICS
from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import StoreError, StoreInputError, StoreVersionError

Result = TypeVar("Result")
Rows = list[dict[str, Any]]

RETRY_SECONDS = 60.0
"""How long a transaction is tried again after a deadlock or a lost connection."""

OLDEST_SERVER = (5, 23)
"""The first server that reads ``CALL (variables) {…}``."""

_RULES = (
    "CREATE CONSTRAINT archex_meta IF NOT EXISTS FOR (n:Meta) REQUIRE n.topic IS UNIQUE",
    "CREATE CONSTRAINT archex_space IF NOT EXISTS FOR (n:Space) REQUIRE n.name IS UNIQUE",
    "CREATE CONSTRAINT archex_architecture IF NOT EXISTS FOR (n:Architecture) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT archex_score IF NOT EXISTS FOR (n:Score) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT archex_measurement IF NOT EXISTS FOR (n:Measurement) "
    "REQUIRE (n.architecture, n.device, n.quantity) IS UNIQUE",
    "CREATE CONSTRAINT archex_study IF NOT EXISTS FOR (n:Study) REQUIRE n.name IS UNIQUE",
    "CREATE CONSTRAINT archex_trial IF NOT EXISTS FOR (n:Trial) REQUIRE (n.study, n.number) IS UNIQUE",
    "CREATE CONSTRAINT archex_trial_architecture IF NOT EXISTS FOR (n:Trial) "
    "REQUIRE (n.study, n.architecture) IS UNIQUE",
    "CREATE CONSTRAINT archex_job IF NOT EXISTS FOR (n:Job) REQUIRE n.id IS UNIQUE",
    "CREATE INDEX archex_score_task IF NOT EXISTS FOR (n:Score) ON (n.task, n.value)",
    "CREATE INDEX archex_similar IF NOT EXISTS FOR ()-[r:SIMILAR]-() ON (r.space, r.kernel)",
)


class Statements:
    """Runs Cypher inside one managed transaction."""

    def __init__(self, transaction: neo4j.ManagedTransaction) -> None:
        self._transaction = transaction

    def rows(self, query: str, **parameters: Any) -> Rows:
        """All rows of a query, each a dict by the names it returns."""
        return self._transaction.run(query, parameters).data()

    def one(self, query: str, **parameters: Any) -> dict[str, Any] | None:
        """The only row of a query, or ``None``."""
        found = self.rows(query, **parameters)
        return found[0] if found else None

    def lock(self, topics: Sequence[str]) -> None:
        """Wait until nobody else writes these topics."""
        for topic in sorted(topics):
            self.rows("MATCH (m:Meta {topic: $topic}) SET m.locked = true", topic=topic)

    def bump(self, topic: str) -> None:
        """Count a change of a topic."""
        self.rows("MATCH (m:Meta {topic: $topic}) SET m.revision = m.revision + 1", topic=topic)

    def revision(self, topic: str) -> int:
        """Number of changes of a topic, or of all if it is empty."""
        topics = [topic] if topic else list(TOPICS)
        found = self.one("MATCH (m:Meta) WHERE m.topic IN $topics RETURN sum(m.revision) AS revision", topics=topics)
        assert found is not None
        revision: int = found["revision"]
        return revision


class Graph:
    """A connection to a server that many threads may share.

    Args:
        url: scheme, host and port; no password.
        user: name to log in with; empty for a server without authentication.
        password: password of the user.
        database: name of the database; empty for the server's default.

    Raises:
        StoreError: the server does not answer, or refuses the log-in.
        StoreVersionError: the store in it is newer.
        StoreInputError: the server is too old.
    """

    def __init__(self, url: str, user: str, password: str, database: str) -> None:
        self.url = url + (f"/{database}" if database else "")
        self._database = database or None
        self._pid = os.getpid()
        self._closed = False
        with self._errors():
            self._driver = neo4j.GraphDatabase.driver(
                url,
                auth=(user, password) if user else None,
                max_transaction_retry_time=RETRY_SECONDS,
                connection_timeout=10.0,
                # A new store has no labels yet, which the server would remark upon in every answer.
                notifications_min_severity="OFF",
                user_agent="archex",
            )
        try:
            self._prepare()
        except BaseException:
            self._driver.close()
            raise

    def _prepare(self) -> None:
        with self._errors():
            agent = self._driver.get_server_info().agent
            version = tuple(int(part) for part in agent.partition("/")[2].split(".")[:2] if part.isdigit())
            if version < OLDEST_SERVER:
                raise StoreInputError(f"Neo4j must be 5.23 or newer, but got {agent!r}. Name a newer server.")
            known = self.read(lambda db: db.one("MATCH (m:Meta {topic: 'schema'}) RETURN m.version AS version"))
            if known is not None and known["version"] > SCHEMA_VERSION:
                raise StoreVersionError(
                    f"version of the store must be at most {SCHEMA_VERSION}, but got {known['version']} in "
                    f"{self.url!r}. Update this software, or name another store; it was left as it is."
                )
            if known is not None:
                return
            with self._session() as session:
                for rule in _RULES:
                    session.run(rule).consume()
                session.run("CALL db.awaitIndexes(60)").consume()
                session.execute_write(_create)

    def _session(self) -> neo4j.Session:
        if self._closed or os.getpid() != self._pid:
            reason = "closed" if self._closed else "carried over a fork"
            raise StoreError(f"a store must be open in this process, but got one that was {reason}. Open it again.")
        # One bookmark manager for all sessions: on a cluster, a read sees what this store wrote before.
        return self._driver.session(
            database=self._database, bookmark_manager=self._driver.execute_query_bookmark_manager
        )

    def read(self, work: Callable[[Statements], Result]) -> Result:
        """Run ``work`` in a reading transaction; it may be run more than once."""
        with self._errors(), self._session() as session:
            return session.execute_read(lambda transaction: work(Statements(transaction)))

    def write(self, topics: Sequence[str], work: Callable[[Statements], Result]) -> Result:
        """Run ``work`` in a writing transaction that holds the topics' locks; it may be run more than once."""

        def locked(transaction: neo4j.ManagedTransaction) -> Result:
            statements = Statements(transaction)
            statements.lock(topics)
            return work(statements)

        with self._errors(), self._session() as session:
            return session.execute_write(locked)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the driver's errors into the store's. None of them shows the password."""
        try:
            yield
        except AuthError as error:
            raise StoreError(
                f"the server {self.url!r} refused the log-in ({error.code}). Check NEO4J_USER and NEO4J_PASSWORD."
            ) from error
        except (DriverError, Neo4jError) as error:
            raise StoreError(f"the server {self.url!r} failed: {error}. Check that it runs, or try again.") from error
        except (OverflowError, UnicodeEncodeError) as error:
            raise StoreInputError(
                f"values must be plain texts, floats and integers of 64 bits, but got one that is not ({error}). "
                "Convert it."
            ) from error

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        if os.getpid() == self._pid:
            self._driver.close()


def _create(transaction: neo4j.ManagedTransaction) -> None:
    transaction.run(
        "UNWIND $topics AS topic MERGE (m:Meta {topic: topic}) ON CREATE SET m.revision = 0", topics=sorted(TOPICS)
    ).consume()
    transaction.run(
        "MERGE (m:Meta {topic: 'schema'}) ON CREATE SET m.version = $version", version=SCHEMA_VERSION
    ).consume()
