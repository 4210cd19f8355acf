"""Reading Cypher that a person typed, for stores that understand it: its limits and its answers.

The engine's side is in ``graphstore.neo4j.console``; nothing here needs its driver.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from graphstore.checks import to_json
from graphstore.contract import GraphStore
from graphstore.errors import StoreInputError

LONGEST_TEXT = 10_000
"""Characters a query may have."""
LONGEST_PARAMETERS = 100_000
"""Characters all parameters together may have as JSON."""
MOST_ROWS = 10_000
"""The highest row limit."""
LONGEST_TIME_S = 300.0
"""The highest time limit."""
ROWS = 100
"""The row limit where none is named."""
TIME_S = 10.0
"""The time limit where none is named, in seconds."""


@dataclass(frozen=True)
class Answer:
    """What a query gave.

    Attributes:
        columns: their names.
        rows: JSON-able values, one per column; nodes, relations and paths are maps, see ``graphstore.neo4j.values``.
        truncated: whether there was more than the row limit.
        seconds: how long it took, from the first word to the last row.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    seconds: float


@runtime_checkable
class CypherStore(Protocol):
    """A store that understands Cypher."""

    def console(self, text: str, parameters: Mapping[str, Any], row_limit: int, time_limit_s: float) -> Answer:
        """Run one reading statement; see ``run_query``."""


def run_query(
    store: GraphStore,
    text: str,
    parameters: Mapping[str, Any] | None = None,
    row_limit: int = ROWS,
    time_limit_s: float = TIME_S,
) -> Answer:
    """Run one reading Cypher statement on a Neo4j store.

    Args:
        store: must be a Neo4j store.
        text: the statement, at most LONGEST_TEXT characters.
        parameters: JSON-able values of the text's ``$names``.
        row_limit: 1 to MOST_ROWS; further rows are not fetched.
        time_limit_s: above 0, at most LONGEST_TIME_S.

    Returns:
        The answer, cut to the limits.

    Raises:
        StoreInputError: the store has no Cypher; the text is wrong, would do more than read the graph, lacks a
            parameter, or needs more time or memory than it may have; a limit is out of bounds.
        StoreError: the server does not answer.
    """
    if not isinstance(store, CypherStore):
        raise StoreInputError(
            f"store of a Cypher query must be a Neo4j server, but got {store.url!r}. Ask with `archex find` instead, "
            "or put the catalogue on a server with --store neo4j."
        )
    _check(text, parameters or {}, row_limit, time_limit_s)
    return store.console(text, parameters or {}, row_limit, time_limit_s)


def _check(text: str, parameters: Mapping[str, Any], row_limit: int, time_limit_s: float) -> None:
    if not isinstance(text, str) or not text.strip():
        raise StoreInputError("query must be a Cypher statement, but got nothing. Write for example RETURN 1.")
    if len(text) > LONGEST_TEXT:
        raise StoreInputError(
            f"query must have at most {LONGEST_TEXT:,} characters, but got {len(text):,}. Put values into parameters."
        )
    size = len(to_json("parameters", parameters))
    if size > LONGEST_PARAMETERS:
        raise StoreInputError(
            f"parameters must have at most {LONGEST_PARAMETERS:,} characters as JSON, but got {size:,}. Give fewer."
        )
    if not 1 <= row_limit <= MOST_ROWS:
        raise StoreInputError(f"row limit must be from 1 to {MOST_ROWS:,}, but got {row_limit}. Correct it.")
    if not (math.isfinite(time_limit_s) and 0 < time_limit_s <= LONGEST_TIME_S):
        raise StoreInputError(
            f"time limit must be above 0 and at most {LONGEST_TIME_S:g} seconds, but got {time_limit_s:g}. Correct it."
        )
