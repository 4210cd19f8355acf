"""Results of Neo4j as JSON-able values of bounded size.

A node becomes ``{"id", "labels", "properties"}``, a relationship ``{"type", "properties", "from", "to"}`` with element
ids, a path ``{"path": [node, relationship, node, …]}``. Dates, times and durations become ISO 8601 texts, points
``{"srid", "coordinates"}``, bytes hexadecimal texts. NaN and infinities, which JSON lacks, become the texts ``NaN``,
``Infinity`` and ``-Infinity``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from neo4j.graph import Node, Path, Relationship
from neo4j.spatial import Point
from neo4j.time import Date, DateTime, Duration, Time

LONGEST_STRING = 4_000
"""Maximum number of characters of a text."""
MOST_PARTS = 2_000
"""Maximum number of entries of all lists and maps of one value."""
DEEPEST = 12
"""Maximum depth of lists and maps."""
CUT = "…"
"""Placeholder for omitted parts."""


def shown(value: Any) -> Any:
    """Return a JSON-able value with at most MOST_PARTS entries and LONGEST_STRING characters per text."""
    return _Cutter().cut(value, DEEPEST)


class _Cutter:
    """Counts the remaining entries of one value."""

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
