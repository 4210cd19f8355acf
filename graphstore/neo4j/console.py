"""Cypher that a person types, on a server: reading statements with limits of time, rows and memory.

The server itself keeps the limits: the access mode READ refuses every write, the transaction's time-out ends a
statement that takes too long, and ``db.memory.transaction.max`` (set for the managed server) ends one that needs too
much memory. Rows are fetched up to the row limit, and each value is cut to a size. None of this protects a server from
a person who wants to harm it: one value arrives whole before it is cut, and a single expression may need more memory
than the server counts. So an app that several people share offers the saved queries only. A server that says nothing
after the time limit is not waited for.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from typing import Any

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

from graphstore.cypher import Answer
from graphstore.errors import StoreError, StoreInputError
from graphstore.neo4j.graph import Graph
from graphstore.neo4j.values import CUT, shown

LONGEST_MESSAGE = 300
"""Characters of a server's message that are passed on."""
PORTION = 20
"""Rows per fetch from the server."""
DEEPEST_STATEMENT = 100
"""Maximum depth of brackets in a statement. The server's parser overflows its stack at some hundreds."""
GRACE_S = 5.0
"""Seconds after the time limit in which the server must say that it ended a statement. A server whose parser or planner
overflows its stack says nothing, and the driver would wait for two minutes."""

_FORBIDDEN = {
    "LoadCSV": "read files or the network (LOAD CSV)",
    "Show": "show what the server does (SHOW)",
    "Terminate": "terminate the transactions of others (TERMINATE)",
}
"""Effects of a plan's operators other than reading the graph, by the beginning of their names."""

_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
"""An escape of Cypher, which can encode a bracket."""
_BRACKET = re.compile(
    r"""
    '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | `(?:``|[^`])*`      # a text, or a quoted name
    | //[^\n]* | /\*.*?\*/                                       # a comment
    | (?P<opening>[(\[{]) | (?P<closing>[)\]}])
    """,
    re.DOTALL | re.VERBOSE,
)
"""A bracket, or what may contain characters that look like one."""

_POSITION = re.compile(r"[( ]*(?:at )?line (\d+), column (\d+)")
_EXCEPTION = re.compile(r".*\w+Exception: ", re.DOTALL)


def answer(graph: Graph, text: str, parameters: dict[str, Any], row_limit: int, time_limit_s: float) -> Answer:
    """Run one reading statement.

    Args:
        graph: the server.
        text: the statement.
        parameters: its values.
        row_limit: further rows are not fetched.
        time_limit_s: when the server ends it.

    Raises:
        StoreInputError: the statement is wrong, would do more than read, or needs too much.
        StoreError: the server does not answer.
    """
    if max(_depth(text), _depth(_UNICODE.sub(lambda found: chr(int(found[1], 16)), text))) > DEEPEST_STATEMENT:
        raise StoreInputError(
            f"query must nest at most {DEEPEST_STATEMENT} open brackets, but got more. Put values into parameters."
        )
    result: Future[Answer] = Future()

    def run() -> None:
        try:
            result.set_result(_run(graph, text, parameters, row_limit, time_limit_s))
        except BaseException as error:
            result.set_exception(error)

    # A thread, because the driver cannot be told how long to wait for one answer.
    threading.Thread(target=run, name="cypher", daemon=True).start()
    try:
        wait([result], time_limit_s + GRACE_S)
        if not result.done():
            raise _too_long(time_limit_s)
        return result.result()
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, DriverError) and cause.is_retryable() and graph.revive():
            raise StoreError("the server had ended and was started again. Run the query again.") from cause
        if isinstance(cause, Neo4jError):
            raise _reworded(cause, time_limit_s) or error from cause
        raise
    except RecursionError:
        raise StoreInputError(
            "values of an answer must not be nested hundreds deep, but got one that is. Return less."
        ) from None


def _run(graph: Graph, text: str, parameters: dict[str, Any], row_limit: int, time_limit_s: float) -> Answer:
    start = time.monotonic()
    with graph.reading(time_limit_s, PORTION) as transaction:
        _check_plan(transaction.run("EXPLAIN\n" + text, parameters).consume())
        result = transaction.run(text, parameters)
        columns = tuple(result.keys())
        rows: list[tuple[Any, ...]] = []
        for record in result:
            if len(rows) == row_limit:
                return Answer(columns, tuple(rows), True, time.monotonic() - start)
            rows.append(tuple(shown(value) for value in record.values()))
        return Answer(columns, tuple(rows), False, time.monotonic() - start)


def _depth(text: str) -> int:
    """Return how many brackets are open at most."""
    deepest = depth = 0
    for found in _BRACKET.finditer(text):
        depth = max(0, depth + (found["opening"] is not None) - (found["closing"] is not None))
        deepest = max(deepest, depth)
    return deepest


def _too_long(time_limit_s: float) -> StoreInputError:
    return StoreInputError(
        f"query must end within {time_limit_s:g} seconds, but this one did not. Narrow it, or allow more time."
    )


def _check_plan(explained: neo4j.ResultSummary) -> None:
    """Raise StoreInputError where a statement would do anything but read the graph."""
    for operator in _operators(explained.plan or {}):
        for beginning, what in _FORBIDDEN.items():
            if operator.startswith(beginning):
                raise _refused(what)
    if explained.query_type != "r":
        raise _refused("change or administer the database")


def _operators(plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield the name of every operator of a plan."""
    if plan:
        yield str(plan["operatorType"])
    for child in plan.get("children", ()):
        yield from _operators(child)


def _refused(what: str) -> StoreInputError:
    return StoreInputError(f"query must only read the graph, but this one would {what}. Leave that out.")


def _reworded(error: Neo4jError, time_limit_s: float) -> StoreInputError | None:
    """Return the error for what the statement did wrong, in one line; ``None`` where the server itself failed."""
    code, message = error.code or "", _placed(error.message or "")
    if "TransactionTimedOut" in code or code.endswith(("Transaction.Terminated", "LockClientStopped")):
        return _too_long(time_limit_s)
    if "OutOfMemory" in code or "StackOverflow" in code:
        return StoreInputError(
            "query must fit into the memory the server gives to a transaction, but this one did not. "
            "Narrow it, or collect less."
        )
    if code.endswith("Statement.AccessMode"):
        return _refused("change the database")
    if code.endswith("ParameterMissing"):
        names = message.partition(":")[2].strip() or message
        return StoreInputError(f"query must get a value for each parameter, but got none for {names}. Give them.")
    # The parser reports some syntax errors as a failure of the server.
    if code.startswith(("Neo.ClientError", "Neo.DatabaseError")) and "Security" not in code:
        return StoreInputError(f"query must be a Cypher statement the server can run, but got {message}. Correct it.")
    return None


def _placed(message: str) -> str:
    """Return a server's message as one line that begins with the position in the typed text, which follows EXPLAIN."""
    message = _EXCEPTION.sub("", message)
    found = _POSITION.search(message)
    place = ""
    if found is not None:
        message = message[: found.start()]
        # Line 0 means the whole statement.
        place = f"in line {int(found[1]) - 1}, column {found[2]}: " if int(found[1]) > 1 else ""
    line = " ".join(message.split()).rstrip(".")
    return place + (line if len(line) <= LONGEST_MESSAGE else line[:LONGEST_MESSAGE] + CUT)
