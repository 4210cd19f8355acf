"""Transactions on a Neo4j server, and its errors as errors of the store.

Every topic has one node (:Meta {topic, revision}). A writer first locks the nodes of its topics, in the order of their
names, so that writers of one topic run one after the other and cannot deadlock. If transactions of different topics
deadlock, the driver retries them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import neo4j
from neo4j.exceptions import DriverError, IncompleteCommit, Neo4jError, ServiceUnavailable, SessionExpired

from graphstore.checks import TOPICS
from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import Code, StoreError, StoreInputError, StoreVersionError
from graphstore.neo4j import migrations
from graphstore.neo4j.failures import failure
from graphstore.neo4j.tls import trust

Result = TypeVar("Result")
Rows = list[dict[str, Any]]

RETRY_SECONDS = 60.0
"""How long a transaction is retried after a deadlock or a lost connection."""

PATIENCE_SECONDS = 3.0
"""How long the driver retries on a server that this process can restart; the store itself retries after that."""

MARKS = 64
"""Marks of transactions that a topic keeps; more than others commit while a lost connection is restored."""

OLDEST_SERVER = (5, 23)
"""First version that supports ``CALL (variables) {…}``."""


LOCK = """
MATCH (m:ArchexMeta {topic: $topic}) SET m.locked = true
WITH m, coalesce(m.marks, []) AS marks
SET m.marks = CASE WHEN $mark IN marks THEN marks ELSE (marks + $mark)[-$kept..] END
WITH m, NOT $mark IN marks AS new
"""
"""Beginning of a statement that writes a topic: wait for the topic's lock and store the transaction's mark.

The marks are read after the first SET, which waits for the lock, so no mark is missed. ``m`` is the topic's node, and
``new`` is whether the mark was missing, which means that the transaction has not taken effect yet.
"""


def _rows(result: neo4j.Result) -> Rows:
    """Return rows of plain values as dicts; ``Result.data()`` converts each byte of a kernel's state separately."""
    return [dict(record) for record in result]


class Statements:
    """Runs Cypher inside one managed transaction."""

    def __init__(self, transaction: neo4j.ManagedTransaction) -> None:
        self._transaction = transaction

    def rows(self, query: str, **parameters: Any) -> Rows:
        """Return all rows of a query as dicts by column name."""
        return _rows(self._transaction.run(query, parameters))

    def values(self, query: str, **parameters: Any) -> list[list[Any]]:
        """Return all rows of a query as lists."""
        return self._transaction.run(query, parameters).values()

    def one(self, query: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the only row of a query, or ``None``."""
        found = self.rows(query, **parameters)
        return found[0] if found else None

    def lock(self, topics: Sequence[str], mark: int) -> bool:
        """Wait until nobody else writes these topics, and store the transaction's mark; return whether it was new."""
        new = False
        for topic in sorted(topics):
            query = LOCK + "RETURN new, m.revision IS NOT NULL AS counted"
            row = self.one(query, topic=topic, mark=mark, kept=MARKS)
            if row is None or not row["counted"]:
                raise StoreError(_uncounted(topic))
            new = row["new"]
        return new

    def bump(self, topic: str) -> None:
        """Count a change of a topic."""
        self.rows("MATCH (m:ArchexMeta {topic: $topic}) SET m.revision = m.revision + 1", topic=topic)

    def revision(self, topic: str) -> int:
        """Return the number of changes of a topic, or of all topics if it is empty."""
        topics = [topic] if topic else list(TOPICS)
        query = "MATCH (m:ArchexMeta) WHERE m.topic IN $topics RETURN sum(m.revision) AS revision"
        found = self.one(query, topics=topics)
        assert found is not None
        revision: int = found["revision"]
        return revision


class Graph:
    """A connection to a server. Thread-safe.

    Args:
        url: scheme, host and port; no password.
        user: name to log in with; empty for a server without authentication.
        password: password of the user.
        database: name of the database; empty for the server's default.
        any_version: for maintenance: open a store of any version, and do not create one.
        restart: starts the server if it has ended, and returns once it answers at the same URL; ``None`` for a server
            that somebody else runs.

    Raises:
        StoreError: the server does not answer, or refuses the log-in.
        StoreVersionError: the store has a newer version, or an older one that must be migrated.
        StoreInputError: the server is too old.
    """

    version: int
    """Version of the store when it was opened; 0 if there was none."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        database: str,
        any_version: bool = False,
        restart: Callable[[], None] | None = None,
    ) -> None:
        self.url = url + (f"/{database}" if database else "")
        self._database = database or None
        self._restart = restart
        self._pid = os.getpid()
        self._closed = False
        with self._errors():
            self._driver = neo4j.GraphDatabase.driver(
                **trust(url),
                auth=(user, password) if user else None,
                # If the server can be restarted, the driver should not wait long for it to return.
                max_transaction_retry_time=RETRY_SECONDS if restart is None else PATIENCE_SECONDS,
                connection_timeout=10.0,
                # A new store has no labels yet, so the server would send a notification with every result.
                notifications_min_severity="OFF",
                user_agent="archex",
                telemetry_disabled=True,
            )
        try:
            self._prepare(any_version)
        except BaseException:
            self._driver.close()
            raise

    def _prepare(self, any_version: bool) -> None:
        with self._errors(), self._session() as session:
            # A transaction would be retried for a minute if no server answers.
            agent = self._driver.get_server_info().agent
            server = tuple(int(part) for part in agent.partition("/")[2].split(".")[:2] if part.isdigit())
            if server < OLDEST_SERVER:
                raise StoreInputError(f"Neo4j must be 5.23 or newer, but got {agent!r}. Name a newer server.")
            known = self.version = session.execute_read(_version)
            if any_version:
                return
            if known == SCHEMA_VERSION:
                if not session.execute_read(_is_counted):
                    session.execute_write(migrations.write_version, known)
                return
            if known > SCHEMA_VERSION:
                raise StoreVersionError(
                    f"version of the store must be at most {SCHEMA_VERSION}, but got {known} in "
                    f"{self.url!r}. Update this software, or name another store; it was not changed."
                )
            if known:
                raise StoreVersionError(
                    f"version of the store must be {SCHEMA_VERSION}, but got {known} in {self.url!r}. Migrate it; it "
                    "was not changed.",
                    Code.OLD_LAYOUT,
                    self.url,
                )
        self.lay_out(SCHEMA_VERSION + 1)

    def lay_out(self, first: int) -> None:
        """Apply the migrations from ``first`` to the newest, and create what is missing; can be repeated."""
        with self._errors(), self._session() as session:
            migrations.apply(session, first, SCHEMA_VERSION)
        self.version = SCHEMA_VERSION

    def _session(self, **options: Any) -> neo4j.Session:
        if self._closed or os.getpid() != self._pid:
            reason = "closed" if self._closed else "carried over a fork"
            raise StoreError(f"a store must be open in this process, but got one that was {reason}. Open it again.")
        # One bookmark manager for all sessions, so that on a cluster a read sees earlier writes of this store.
        return self._driver.session(
            database=self._database, bookmark_manager=self._driver.execute_query_bookmark_manager, **options
        )

    def read(self, work: Callable[[Statements], Result]) -> Result:
        """Run ``work`` in a reading transaction; it may be run more than once."""
        return self._managed(lambda session: session.execute_read(lambda transaction: work(Statements(transaction))))

    def ask(self, query: str, **parameters: Any) -> Rows:
        """Return the rows of one reading statement in an auto-commit transaction: half the round trips.

        After a transient failure the statement is retried by ``read``.
        """
        try:
            with self._errors(), self._session(default_access_mode=neo4j.READ_ACCESS) as session:
                return _rows(session.run(query, parameters))
        except StoreError as error:
            cause = error.__cause__
            if not isinstance(cause, DriverError | Neo4jError) or not cause.is_retryable():
                raise
        return self.read(lambda db: db.rows(query, **parameters))

    def _managed(self, run: Callable[[neo4j.Session], Result]) -> Result:
        """Run a managed transaction, and run it again if the connection was lost while the server ended it.

        The driver does not repeat it, even for a reading transaction, because it cannot know whether the
        transaction took effect. A server that can be restarted is restarted once.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        restarted = self._restart is None
        while True:
            try:
                with self._errors(), self._session() as session:
                    return run(session)
            except StoreError as error:
                cause = error.__cause__
                if isinstance(cause, ServiceUnavailable | SessionExpired) and not restarted:
                    restarted = self.revive()
                    deadline = time.monotonic() + RETRY_SECONDS
                elif time.monotonic() > deadline or not self._passes(cause):
                    raise

    def _passes(self, cause: BaseException | None) -> bool:
        """Return whether a failure may be transient, and the driver has not retried it long enough already."""
        if isinstance(cause, IncompleteCommit):
            return True
        return self._restart is not None and isinstance(cause, DriverError | Neo4jError) and cause.is_retryable()

    def revive(self) -> bool:
        """Start the server again if it has ended and this process may start it; return whether it answers now."""
        if self._restart is None:
            return False
        self._restart()
        return True

    @contextlib.contextmanager
    def reading(self, time_limit_s: float, portion: int) -> Iterator[neo4j.Transaction]:
        """A transaction in which the server refuses to write, and which it ends after the time limit.

        It is not repeated. Rows are fetched ``portion`` at a time; rows that were not read by the end are not fetched.
        """
        with (
            self._errors(),
            self._session(default_access_mode=neo4j.READ_ACCESS, fetch_size=portion) as session,
            session.begin_transaction(timeout=time_limit_s) as transaction,
        ):
            yield transaction
            transaction.rollback()

    def write(self, topics: Sequence[str], work: Callable[[Statements], Result]) -> Result:
        """Run ``work`` in a writing transaction that holds the topics' locks; it may be run more than once.

        It takes effect once: if the connection is lost while the server commits, the next attempt looks for the mark
        of the transaction.
        """
        mark = secrets.randbits(63)
        results: list[Result] = []

        def locked(transaction: neo4j.ManagedTransaction) -> Result:
            statements = Statements(transaction)
            if statements.lock(topics, mark) or not results:
                results.append(work(statements))
            return results[-1]

        return self._managed(lambda session: session.execute_write(locked))

    def write_at_once(
        self, topic: str, query: str, result: Callable[[dict[str, Any]], Result], **parameters: Any
    ) -> Result:
        """Like ``write``, with one statement that begins with LOCK, counts the change itself and returns one row.

        The row has ``new``, as from LOCK, and ``counted``: whether the revision counter exists.

        Args:
            topic: the topic that is written.
            query: the statement; a second execution must change nothing.
            result: converts the row to the return value; if it raises, nothing is written.
            parameters: parameters of the statement in addition to those of LOCK.
        """
        mark = secrets.randbits(63)
        results: list[Result] = []

        def run(transaction: neo4j.ManagedTransaction) -> Result:
            row = Statements(transaction).one(query, topic=topic, mark=mark, kept=MARKS, **parameters)
            if row is None or not row["counted"]:
                raise StoreError(_uncounted(topic))
            if row["new"] or not results:
                results.append(result(row))
            return results[-1]

        return self._managed(lambda session: session.execute_write(run))

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert the driver's errors to errors of the store. None of them shows the password."""
        try:
            yield
        except (DriverError, Neo4jError) as error:
            raise failure(self.url, error) from error
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


def _uncounted(topic: str) -> str:
    return (
        f"the counter of changes of {topic} must be in the database, but is missing: the database was emptied or "
        "damaged while the store was open; nothing was written. Open the store again, or migrate it."
    )


def _is_counted(transaction: neo4j.ManagedTransaction) -> bool:
    """Return whether all revision counters and the store's identity exist."""
    query = (
        "MATCH (m:ArchexMeta) WHERE m.topic IN $topics AND m.revision IS NOT NULL OR m.identity IS NOT NULL "
        "RETURN count(m) AS found"
    )
    return bool(transaction.run(query, topics=list(TOPICS)).single(strict=True)["found"] == len(TOPICS) + 1)


def _version(transaction: neo4j.ManagedTransaction) -> int:
    """Return the store's version; 0 if there is none.

    Before version 4 the node had no label of its own, and another program may have one like it.
    """
    query = (
        "MATCH (m:Meta {topic: 'schema'}) WHERE m:ArchexMeta OR m.version IN range(1, $marked - 1) "
        "RETURN m.version AS version"
    )
    versions = transaction.run(query, marked=migrations.MARKED).value("version")
    return max((version or 0 for version in versions), default=0)
