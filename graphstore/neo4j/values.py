"""What Neo4j returns, as JSON-able values of a bounded size.

A node becomes ``{"labels", "properties"}``, a relation ``{"type", "properties", "from", "to"}`` (element ids, as the
node's ``"id"``), a path ``{"path": [node, relation, node, …]}``; dates, times and durations their ISO 8601 text, points
``{"srid", "coordinates"}``, bytes hexadecimal text; what is no number, or infinite, the texts ``NaN``, ``Infinity`` and
``-Infinity``, which JSON has no numbers for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from neo4j.graph import Node, Path, Relationship
from neo4j.spatial import Point
from neo4j.time import Date, DateTime, Duration, Time

LONGEST_STRING = 4_000
"""Characters of a text that are shown."""
MOST_PARTS = 2_000
"""Entries of lists and maps that are shown of one value, all together."""
DEEPEST = 12
"""Levels of lists and maps that are shown."""
CUT = "…"
"""Stands where something was left out."""


def shown(value: Any) -> Any:
    """A value as it may be shown: JSON-able, at most MOST_PARTS parts and LONGEST_STRING characters a text."""
    return _Cutter().cut(value, DEEPEST)


class _Cutter:
    """Counts what one value may still show."""

    def __init__(self) -> None:
        self._left = MOST_PARTS

    def cut(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else _unsayable(value)
        if isinstance(value, str):
            return value if len(value) <= LONGEST_STRING else value[:LONGEST_STRING] + CUT
        if isinstance(value, Date | DateTime | Time | Duration):
            return value.iso_format()
        if depth == 0:
            return CUT
        if isinstance(value, Node | Relationship):
            return self._entity(value, depth)
        if isinstance(value, Path):
            parts: list[Node | Relationship] = [value.nodes[0]]
            for relation, node in zip(value.relationships, value.nodes[1:], strict=True):
                parts += [relation, node]
            return {"path": self._list(parts, depth)}
        if isinstance(value, Point):
            return {"srid": value.srid, "coordinates": [self.cut(float(axis), depth) for axis in value]}
        if isinstance(value, bytes | bytearray):
            return self.cut(bytes(value[:LONGEST_STRING]).hex(), depth)
        if isinstance(value, Mapping):
            return self._map(value, depth)
        if isinstance(value, list | tuple):
            return self._list(value, depth)
        return self.cut(str(value), depth)

    def _entity(self, value: Node | Relationship, depth: int) -> dict[str, Any]:
        properties = self._map(dict(value.items()), depth)
        if isinstance(value, Node):
            return {"id": value.element_id, "labels": sorted(value.labels), "properties": properties}
        ends = [node.element_id if node is not None else None for node in (value.start_node, value.end_node)]
        return {"type": value.type, "properties": properties, "from": ends[0], "to": ends[1]}

    def _list(self, values: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if self._left == 0:
                return [*found, CUT]
            self._left -= 1
            found.append(self.cut(value, depth - 1))
        return found

    def _map(self, values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in values.items():
            if self._left == 0:
                return {**found, CUT: CUT}
            self._left -= 1
            found[self.cut(str(name), 1)] = self.cut(value, depth - 1)
        return found


def _unsayable(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
