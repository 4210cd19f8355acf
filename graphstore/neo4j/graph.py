"""Transactions on a Neo4j server, and its errors in the store's own words.

Every topic has one node (:Meta {topic, revision}). A writer locks the nodes of its topics first, in the order of their
names, so that writers of a topic come one after the other and cannot deadlock over what they write; transactions of
different topics that still do are retried by the driver.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import neo4j
from neo4j.exceptions import AuthError, DriverError, IncompleteCommit, Neo4jError

from graphstore.checks import TOPICS
from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import StoreError, StoreInputError, StoreVersionError
from graphstore.neo4j import migrations
from graphstore.neo4j.tls import check_trusted, trust

Result = TypeVar("Result")
Rows = list[dict[str, Any]]

RETRY_SECONDS = 60.0
"""How long a transaction is tried again after a deadlock or a lost connection."""

MARKS = 64
"""Marks of transactions a topic keeps: more than others commit while a lost connection is made anew."""

OLDEST_SERVER = (5, 23)
"""The first server that reads ``CALL (variables) {…}``."""


LOCK = """
MATCH (m:Meta {topic: $topic}) SET m.locked = true
WITH m, coalesce(m.marks, []) AS marks
SET m.marks = CASE WHEN $mark IN marks THEN marks ELSE (marks + $mark)[-$kept..] END
WITH m, NOT $mark IN marks AS new
"""
"""Begins a statement that writes a topic: waits until nobody else writes it, and leaves the transaction's mark.

The marks are read after the first SET, which waits for the lock, so nobody else's is missed. ``m`` is the topic's node,
``new`` whether the mark was not there: the transaction has not taken effect yet.
"""


class Statements:
    """Runs Cypher inside one managed transaction."""

    def __init__(self, transaction: neo4j.ManagedTransaction) -> None:
        self._transaction = transaction

    def rows(self, query: str, **parameters: Any) -> Rows:
        """All rows of a query, each a dict by the names it returns."""
        return self._transaction.run(query, parameters).data()

    def values(self, query: str, **parameters: Any) -> list[list[Any]]:
        """All rows of a query, each a list in the order it returns; several times faster for large nested values."""
        return self._transaction.run(query, parameters).values()

    def one(self, query: str, **parameters: Any) -> dict[str, Any] | None:
        """The only row of a query, or ``None``."""
        found = self.rows(query, **parameters)
        return found[0] if found else None

    def lock(self, topics: Sequence[str], mark: int) -> bool:
        """Wait until nobody else writes these topics, and leave the transaction's mark; returns whether it was new."""
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
        any_version: for maintenance: open a store of any version, and make none where none is.

    Raises:
        StoreError: the server does not answer, or refuses the log-in.
        StoreVersionError: the store in it is newer, or older and to be migrated first.
        StoreInputError: the server is too old.
    """

    version: int
    """Of the store when it was opened; 0 where none was."""

    def __init__(self, url: str, user: str, password: str, database: str, any_version: bool = False) -> None:
        self.url = url + (f"/{database}" if database else "")
        self._database = database or None
        self._login = (url, user, password, database)
        self._pid = os.getpid()
        self._closed = False
        with self._errors():
            self._driver = neo4j.GraphDatabase.driver(
                **trust(url),
                auth=(user, password) if user else None,
                max_transaction_retry_time=RETRY_SECONDS,
                connection_timeout=10.0,
                # A new store has no labels yet, which the server would remark upon in every answer.
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
            # Not by a transaction, which would be tried again for a minute where no server is.
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
                    f"{self.url!r}. Update this software, or name another store; it was left as it is."
                )
            if known:
                raise StoreVersionError(
                    f"version of the store must be {SCHEMA_VERSION}, but got {known} in {self.url!r}. Bring it up "
                    f"with `archex store migrate --store {self.url}`; it was left as it is."
                )
        self.lay_out(1, SCHEMA_VERSION)

    def lay_out(self, first: int, last: int) -> None:
        """Take the migrations ``first`` to ``last``; to be repeated after an interruption."""
        with self._errors(), self._session() as session:
            migrations.apply(session, first, last)
        self.version = last

    def _session(self, **options: Any) -> neo4j.Session:
        if self._closed or os.getpid() != self._pid:
            reason = "closed" if self._closed else "carried over a fork"
            raise StoreError(f"a store must be open in this process, but got one that was {reason}. Open it again.")
        # One bookmark manager for all sessions: on a cluster, a read sees what this store wrote before.
        return self._driver.session(
            database=self._database, bookmark_manager=self._driver.execute_query_bookmark_manager, **options
        )

    def read(self, work: Callable[[Statements], Result]) -> Result:
        """Run ``work`` in a reading transaction; it may be run more than once."""
        return self._managed(lambda session: session.execute_read(lambda transaction: work(Statements(transaction))))

    def ask(self, query: str, **parameters: Any) -> Rows:
        """Rows of one reading statement, which needs no transaction around it: half the round trips.

        Where it fails in a way that may pass, it is tried again as ``read`` does.
        """
        try:
            with self._errors(), self._session(default_access_mode=neo4j.READ_ACCESS) as session:
                return session.run(query, parameters).data()
        except StoreError as error:
            cause = error.__cause__
            if not isinstance(cause, DriverError | Neo4jError) or not cause.is_retryable():
                raise
        return self.read(lambda db: db.rows(query, **parameters))

    def _managed(self, run: Callable[[neo4j.Session], Result]) -> Result:
        """Run a managed transaction, also again where the connection was lost while the server ended it.

        That the driver does not do by itself, even for a reading transaction, as it cannot know what took effect.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                with self._errors(), self._session() as session:
                    return run(session)
            except StoreError as error:
                if not isinstance(error.__cause__, IncompleteCommit) or time.monotonic() > deadline:
                    raise

    def for_another_process(self) -> tuple[tuple[str, str, str, str], list[str]]:
        """What a process needs to look at the same: arguments of a Graph, among them the password, and bookmarks."""
        self._session().close()  # Raises where this store is closed.
        return self._login, sorted(self._driver.execute_query_bookmark_manager.get_bookmarks())

    @contextlib.contextmanager
    def looking(self, time_limit_s: float, portion: int, bookmarks: Sequence[str] = ()) -> Iterator[neo4j.Transaction]:
        """A transaction in which the server refuses to write, and which it ends after the time limit.

        It is not tried again. Rows are fetched by ``portion``; what is left of them at the end is not. It sees what
        the ``bookmarks`` of another process stand for.
        """
        known = neo4j.Bookmarks.from_raw_values(bookmarks)
        options = {"default_access_mode": neo4j.READ_ACCESS, "fetch_size": portion, "bookmarks": known}
        with (
            self._errors(),
            self._session(**options) as session,
            session.begin_transaction(timeout=time_limit_s) as transaction,
        ):
            yield transaction
            transaction.rollback()

    def write(self, topics: Sequence[str], work: Callable[[Statements], Result]) -> Result:
        """Run ``work`` in a writing transaction that holds the topics' locks; it may be run more than once.

        It takes effect once: where the connection is lost while the server commits, the next attempt looks for the
        mark that the transaction left.
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
        """As ``write``, by one statement that begins with LOCK, counts the change itself and returns one row.

        The row says ``new``, as LOCK does, and ``counted``: whether there is a counter to count with.

        Args:
            topic: what is written.
            query: the statement; taken a second time, it must change nothing.
            result: what to return for its row; it may raise, and then nothing is written.
            parameters: of the statement, besides those of LOCK.
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
        """Turn the driver's errors into the store's. None of them shows the password."""
        try:
            yield
        except AuthError as error:
            raise StoreError(
                f"the server {self.url!r} refused the log-in ({error.code}). Check NEO4J_USER and NEO4J_PASSWORD."
            ) from error
        except (DriverError, Neo4jError) as error:
            check_trusted(self.url, error)
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


def _uncounted(topic: str) -> str:
    return (
        f"the counter of changes of {topic} must be in the database, but is missing: it was emptied or damaged under "
        "the open store; nothing was written. Open the store again, or run `archex store migrate`."
    )


def _is_counted(transaction: neo4j.ManagedTransaction) -> bool:
    """Whether all counters of changes are there, and the store's identity."""
    query = (
        "MATCH (m:Meta) WHERE m.topic IN $topics AND m.revision IS NOT NULL OR m.identity IS NOT NULL "
        "RETURN count(m) AS found"
    )
    return bool(transaction.run(query, topics=list(TOPICS)).single(strict=True)["found"] == len(TOPICS) + 1)


def _version(transaction: neo4j.ManagedTransaction) -> int:
    """The store's version; 0 where none is."""
    versions = transaction.run("MATCH (m:Meta {topic: 'schema'}) RETURN m.version AS version").value("version")
    return max((version or 0 for version in versions), default=0)
