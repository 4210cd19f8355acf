"""The child process of the Cypher console, which starts it for every statement; why it is one, the console says.

It reads one JSON object from stdin: ``login``, ``bookmarks``, ``text``, ``parameters``, ``row_limit``,
``time_limit_s``. It prints JSON lines: first the answer's ``columns``, ``truncated`` and ``seconds``, then each row; or
one line with ``error`` and ``input``, whether what was given is to blame. It ends itself by SIGALRM when time is up,
also in the middle of unpacking, and also where its parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The driver would load them for tables that nobody asks for here, which takes several times as long as all else.
    sys.modules["pandas"] = sys.modules["pyarrow"] = None  # type: ignore[assignment]

from graphstore.cypher import Answer
from graphstore.errors import StoreError, StoreInputError
from graphstore.neo4j import console
from graphstore.neo4j.graph import Graph


def main() -> None:
    """Answer what stands on stdin."""
    given = json.load(sys.stdin)
    _limit(given["time_limit_s"] + console.GRACE_S)
    try:
        lines = _lines(_asked(**given))
    except StoreError as error:
        lines = [json.dumps({"error": str(error), "input": isinstance(error, StoreInputError)})]
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _limit(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    # No file of a process that is ended: the log-in would be in it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Only Linux says and limits how much there is, and the limit may be lower already.
    with contextlib.suppress(OSError, ValueError):
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + console.MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _asked(login: tuple[str, str, str, str], bookmarks: list[str], **statement: Any) -> Answer:
    graph = Graph(*login, any_version=True)
    with contextlib.closing(graph):
        return console.answer(graph, bookmarks=bookmarks, **statement)


def _lines(answer: Answer) -> list[str]:
    head = {"columns": answer.columns, "truncated": answer.truncated, "seconds": answer.seconds}
    lines, left = [json.dumps(head)], console.LARGEST_ANSWER
    for row in answer.rows:
        lines.append(json.dumps(row))
        left -= len(lines[-1])
        if left < 0:
            raise console.too_large()
    return lines


if __name__ == "__main__":
    main()
