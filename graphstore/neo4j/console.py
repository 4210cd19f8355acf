"""The console of ``graphstore.cypher`` on a server: what a person types may look at everything and change nothing.

Six walls, from the inside out. The server refuses to write, because the transaction's access mode is READ. Before a
text runs, it is read for words that do more (see ``graphstore.neo4j.screening``), and the server explains it: what its
plan would do besides reading the graph (read files or the network, show or end what others do, administer, call
procedures that are not on a short list) is refused. The server ends the transaction after the time limit. The answer is
read row by row up to the row limit, each value cut to a size. And all of this happens in a child process of bounded
memory and time (``graphstore.neo4j.console_child``), because a value comes whole before it can be cut: a short
statement can name a list of 10^8 entries, and while the driver unpacks it, every other thread of its process stands
still and the memory grows by gigabytes.

The walls hold off mistakes, not a person who means harm and has a log-in: one expression over a very long list cannot
be interrupted by the server, so the caller gets its error in time, but the server works on; nor does the server count
its memory, so that one that gathers enough ends the server.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import neo4j
from neo4j.exceptions import Neo4jError

from graphstore.cypher import Answer
from graphstore.errors import StoreError, StoreInputError
from graphstore.neo4j.graph import Graph
from graphstore.neo4j.part import Part
from graphstore.neo4j.screening import check_procedure, check_words, refused, screen, tokens
from graphstore.neo4j.values import CUT, shown

GRACE_S = 2.0
"""How long past the time limit the server has to say that it stopped."""
START_S = 60.0
"""How long the child may take to start, which is no part of the time limit."""
MEMORY = 2**30
"""Bytes the child may take besides what it has when it begins to ask."""
LARGEST_ANSWER = 32 * 2**20
"""Bytes of a whole answer as JSON, all of which the caller holds."""
LONGEST_MESSAGE = 300
"""Characters of a server's message that are passed on."""
PORTION = 20
"""Rows fetched from the server at once."""
AT_ONCE = 2
"""Children at the same time; further statements wait, at most as long as one may take to start and to answer."""

_children = threading.BoundedSemaphore(AT_ONCE)

_FORBIDDEN = {
    "LoadCSV": "read files or the network (LOAD CSV)",
    "Show": "show what the server does (SHOW)",
    "Terminate": "end what others do (TERMINATE)",
    "Administration": "administer the server",
    "Transaction": "begin further transactions (IN TRANSACTIONS)",
}
_POSITION = re.compile(r"[( ]*(?:at )?line (\d+), column (\d+)")
_EXCEPTION = re.compile(r".*\w+Exception: ", re.DOTALL)


class ConsolePart(Part):
    """Runs Cypher that a person typed."""

    def console(self, text: str, parameters: Mapping[str, Any], row_limit: int, time_limit_s: float) -> Answer:
        """See ``graphstore.cypher.run_query``, which checks what it is given."""
        screen(text, parameters)
        login, bookmarks = self._graph.for_another_process()
        given = {
            "login": login,
            "bookmarks": bookmarks,
            "text": text,
            "parameters": dict(parameters),
            "row_limit": row_limit,
            "time_limit_s": time_limit_s,
        }
        if not _children.acquire(timeout=START_S + time_limit_s):
            raise StoreError(f"at most {AT_ONCE} statements are asked at the same time, and others are. Try again.")
        try:
            # By stdin, because everybody on this machine can read a command line. -P: what lies around is no module.
            done = subprocess.run(
                [sys.executable, "-P", "-m", "graphstore.neo4j.console_child"],
                input=json.dumps(given).encode(),
                # Without memory, the driver's native part would not get to its end writing where it was.
                env={**os.environ, "RUST_BACKTRACE": "0"},
                capture_output=True,
                timeout=START_S + time_limit_s + GRACE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _too_slow(time_limit_s) from None
        except OSError as error:
            raise StoreError(f"no process could be started to ask the server ({error}). Try again.") from error
        finally:
            _children.release()
        return _received(done, time_limit_s)


def _received(done: subprocess.CompletedProcess[bytes], time_limit_s: float) -> Answer:
    """The answer of a child that has ended, or its error."""
    if done.returncode == -signal.SIGALRM:
        raise _too_slow(time_limit_s)
    # Where no memory is to be had, native code ends the process, or panics.
    if done.returncode < 0 or (done.returncode and re.search(b"MemoryError|PanicException", done.stderr)):
        raise too_large()
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise StoreError(f"the process that asks the server failed: {said[-1]}. Try again.")
    # Line by line, so that the other threads have their turns.
    head, *rows = map(json.loads, done.stdout.splitlines())
    if "error" in head:
        raise (StoreInputError if head["input"] else StoreError)(head["error"])
    return Answer(tuple(head["columns"]), tuple(map(tuple, rows)), head["truncated"], head["seconds"])


def answer(
    graph: Graph,
    text: str,
    parameters: dict[str, Any],
    row_limit: int,
    time_limit_s: float,
    bookmarks: Sequence[str] = (),
) -> Answer:
    """Run a screened statement in this process, as the child does.

    Args:
        graph: the server.
        text: the statement.
        parameters: its values.
        row_limit: further rows are not fetched.
        time_limit_s: when the server ends it.
        bookmarks: of what it must see.

    Raises:
        StoreInputError: the statement is wrong, would do more than read, or needs too much.
        StoreError: the server does not answer.
    """
    start = time.monotonic()
    try:
        with graph.looking(time_limit_s, PORTION, bookmarks) as transaction:
            explained = transaction.run("EXPLAIN\n" + text, parameters).consume()
            _check_plan(explained)
            result = transaction.run(text, parameters)
            columns = tuple(result.keys())
            rows: list[tuple[Any, ...]] = []
            for record in result:
                if len(rows) == row_limit:
                    return Answer(columns, tuple(rows), True, time.monotonic() - start)
                rows.append(tuple(shown(value) for value in record.values()))
            return Answer(columns, tuple(rows), False, time.monotonic() - start)
    except StoreError as error:
        if isinstance(error.__cause__, Neo4jError):
            raise _in_own_words(error.__cause__, time_limit_s) or error from error.__cause__
        raise
    except RecursionError:
        raise StoreInputError(
            "values of an answer must not be nested hundreds deep, but got one that is. Return less."
        ) from None


def _check_plan(explained: neo4j.ResultSummary) -> None:
    """Raise StoreInputError where a statement would do anything but read the graph."""
    for operator, details in _operators(explained.plan or {}):
        for beginning, what in _FORBIDDEN.items():
            if operator.startswith(beginning):
                raise refused(what)
        if operator.startswith("ProcedureCall"):
            called, _, details = details.partition("(")
            check_procedure(called)
        check_words(tokens(details))
    if explained.query_type != "r":
        raise refused("change or administer the database")


def _operators(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and details of every operator of a plan."""
    if plan:
        yield str(plan["operatorType"]), str(plan.get("args", {}).get("Details", ""))
    for child in plan.get("children", ()):
        yield from _operators(child)


def _too_slow(time_limit_s: float) -> StoreInputError:
    return StoreInputError(
        f"query must end within {time_limit_s:g} seconds, but this one did not. Narrow it, or allow more time."
    )


def too_large() -> StoreInputError:
    """The error for an answer that outgrows the child."""
    return StoreInputError(
        f"answer of a query must fit into {MEMORY >> 20:,} MiB of memory before it is cut to what is shown, and into "
        f"{LARGEST_ANSWER >> 20} MiB of JSON after, but got more. Return fewer rows, or parts of the values."
    )


def _in_own_words(error: Neo4jError, time_limit_s: float) -> StoreInputError | None:
    """The error for what the statement did wrong, in one line; ``None`` where the server itself failed."""
    code, message = error.code or "", _placed(error.message or "")
    if "TransactionTimedOut" in code or code.endswith(("Transaction.Terminated", "LockClientStopped")):
        return _too_slow(time_limit_s)
    if "OutOfMemory" in code or "StackOverflow" in code:
        return StoreInputError(
            "query must fit into the memory the server gives to a transaction, but this one did not. "
            "Narrow it, or collect less."
        )
    if code.endswith("Statement.AccessMode"):
        return refused("change the database")
    if code.endswith("ParameterMissing"):
        names = message.partition(":")[2].strip() or message
        return StoreInputError(f"query must get a value for each parameter, but got none for {names}. Give them.")
    # What the server's parser does not expect at all comes as a failure of the server.
    if code.startswith(("Neo.ClientError", "Neo.DatabaseError")) and "Security" not in code:
        return StoreInputError(f"query must be a Cypher statement the server can run, but got {message}. Correct it.")
    return None


def _placed(message: str) -> str:
    """A message of the server in one line, begun by the position in the typed text, which stands below EXPLAIN."""
    message = _EXCEPTION.sub("", message)
    found = _POSITION.search(message)
    place = ""
    if found is not None:
        message = message[: found.start()]
        # Line 0 stands for the whole statement.
        place = f"in line {int(found[1]) - 1}, column {found[2]}: " if int(found[1]) > 1 else ""
    line = " ".join(message.split()).rstrip(".")
    return place + (line if len(line) <= LONGEST_MESSAGE else line[:LONGEST_MESSAGE] + CUT)
