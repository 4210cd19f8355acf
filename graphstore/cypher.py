"""Read-only Cypher statements that a person types: limits and results.

``graphstore.neo4j.console`` runs them; this module needs no driver.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from graphstore.checks import to_json
from graphstore.contract import GraphStore
from graphstore.errors import Code, StoreInputError

LONGEST_TEXT = 10_000
"""Maximum number of characters of a query."""
LONGEST_PARAMETERS = 100_000
"""Maximum number of characters of all parameters as JSON."""
MOST_ROWS = 10_000
"""Largest row limit."""
LONGEST_TIME_S = 300.0
"""Largest time limit, in seconds."""
ROWS = 100
"""Default row limit."""
TIME_S = 10.0
"""Default time limit, in seconds."""

_PARAMETER = re.compile(
    r"""
    '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*"       # a text
    | //[^\n]* | /\*.*?\*/                       # a comment
    | \$\s* (?: (?P<plain>\w+) | `(?P<quoted>(?:``|[^`])+)` )
    | `(?:``|[^`])*`                             # another quoted name
    """,
    re.DOTALL | re.VERBOSE,
)
"""A parameter with its name, or what may contain a dollar sign that begins none."""


@dataclass(frozen=True)
class Answer:
    """Result of a query.

    Attributes:
        columns: names of the columns.
        rows: JSON-able values, one per column; ``graphstore.neo4j.values`` describes nodes and relationships.
        truncated: whether there were more rows than the row limit.
        seconds: time from sending the statement to the last row.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    seconds: float


@runtime_checkable
class CypherStore(Protocol):
    """A store that runs Cypher."""

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
        The result, cut to the limits.

    Raises:
        StoreInputError: the store has no Cypher; the text is wrong, would do more than read the graph, lacks a
            parameter, or exceeds the time or memory limit; or a limit is out of bounds.
        StoreError: the server does not answer.
    """
    if not isinstance(store, CypherStore):
        raise StoreInputError(
            f"store of a Cypher query must be a Neo4j server, but got {store.url!r}.", Code.NO_CYPHER, store.url
        )
    _check(text, parameters or {}, row_limit, time_limit_s)
    return store.console(text, parameters or {}, row_limit, time_limit_s)


def parameter_names(text: str) -> frozenset[str]:
    """Return the names of a statement's parameters: ``$name`` or, with any characters, ``$`a name```."""
    found = (match["plain"] or (match["quoted"] or "").replace("``", "`") for match in _PARAMETER.finditer(text))
    return frozenset(name for name in found if name)


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
