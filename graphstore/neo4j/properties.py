"""Queries for nodes and relations whose properties are missing, of another type, or not finite.

The contract never writes such, but Cypher from elsewhere may. What each property must be is read from the record that
it is a field of.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphstore.fields import Rule, rules
from graphstore.records import (
    ArchitectureSummary,
    JobRecord,
    LayerRecord,
    LineageRecord,
    MeasurementRecord,
    NeighborRecord,
    OpRecord,
    ScoreRecord,
    SpaceRecord,
    StudyRecord,
    TrialRecord,
)

_TYPES = {"text": "STRING NOT NULL", "integer": "INTEGER NOT NULL", "number": "INTEGER NOT NULL | FLOAT NOT NULL"}
_TYPES |= {"state": _TYPES["text"], "map": _TYPES["text"]}  # a map is kept as JSON

_LARGEST = "1.7976931348623157e308"

_HELD: tuple[tuple[str, str, str, type, tuple[str, ...]], ...] = (
    ("spaces", "(n:Space)", "n.name", SpaceRecord, ()),
    ("architectures", "(n:Architecture)", "n.id", ArchitectureSummary, ()),
    ("layers", "(n:Layer)", "elementId(n)", LayerRecord, ()),
    ("operations", "(n:Op)", "elementId(n)", OpRecord, ()),
    ("neighbours", "()-[n:SIMILAR]->()", "elementId(n)", NeighborRecord, ("source", "target")),
    ("scores", "(n:Score)", "n.id", ScoreRecord, ()),
    ("measurements", "(n:Measurement)", "elementId(n)", MeasurementRecord, ()),
    ("lineage", "()-[n:INHERITED]->()", "elementId(n)", LineageRecord, ("architecture", "donor")),
    ("studies", "(n:Study)", "n.name", StudyRecord, ()),
    ("trials", "(n:Trial)", "elementId(n)", TrialRecord, ()),
    ("jobs", "(n:Job)", "n.id", JobRecord, ()),
)
"""What is held where: what it is called, its pattern, its name, its record, fields that are kept as relations."""


def queries() -> Iterator[tuple[str, str]]:
    """Each problem, and a query that gives the names of the culprits."""
    for called, pattern, name, record, elsewhere in _HELD:
        wrong = " OR ".join(
            _wrong(f"n.`{field}`", rule) for field, rule in rules(record).items() if field not in elsewhere
        )
        query = f"MATCH {pattern} WHERE {wrong} RETURN coalesce({name}, elementId(n))"
        yield f"{called} with a property that is missing, of another type, or not finite", query


def _wrong(place: str, rule: Rule) -> str:
    """The condition that a property is not what a rule says."""
    if rule.kind == "list":
        return f"NOT {place} IS :: LIST<{_TYPES[rule.items or 'text']}> NOT NULL"
    wrong = f"NOT {place} IS :: {_TYPES[rule.kind]}"
    if rule.kind == "number":
        wrong = f"CASE WHEN {wrong} THEN true ELSE isNaN({place}) OR abs({place}) > {_LARGEST} END"
    return f"{place} IS NOT NULL AND ({wrong})" if type(None) in rule.types else wrong
