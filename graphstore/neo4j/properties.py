"""Queries for nodes and relationships whose properties are missing, of another type, or not finite.

The store never writes such properties, but other programs may. The rule of each property comes from the record that has
it as a field.
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
_TYPES |= {"state": _TYPES["text"], "map": _TYPES["text"]}  # maps are stored as JSON

_LARGEST = "1.7976931348623157e308"

_HELD: tuple[tuple[str, str, str, type, tuple[str, ...]], ...] = (
    ("spaces", "(n:ArchexSpace)", "n.name", SpaceRecord, ()),
    ("architectures", "(n:ArchexArchitecture)", "n.id", ArchitectureSummary, ()),
    ("layers", "(n:ArchexLayer)", "elementId(n)", LayerRecord, ()),
    ("operations", "(n:ArchexOp)", "elementId(n)", OpRecord, ()),
    ("neighbours", "(:ArchexArchitecture)-[n:SIMILAR]->()", "elementId(n)", NeighborRecord, ("source", "target")),
    ("scores", "(n:ArchexScore)", "n.id", ScoreRecord, ()),
    ("measurements", "(n:ArchexMeasurement)", "elementId(n)", MeasurementRecord, ()),
    ("lineage", "(:ArchexArchitecture)-[n:INHERITED]->()", "elementId(n)", LineageRecord, ("architecture", "donor")),
    ("studies", "(n:ArchexStudy)", "n.name", StudyRecord, ()),
    ("trials", "(n:ArchexTrial)", "elementId(n)", TrialRecord, ()),
    ("jobs", "(n:ArchexJob)", "n.id", JobRecord, ()),
)
"""Kinds of records: name, pattern, name of one record, class, and fields that are stored as relationships."""


def queries() -> Iterator[tuple[str, str]]:
    """Yield each problem, and a query that returns the names of the faulty records."""
    for called, pattern, name, record, elsewhere in _HELD:
        wrong = " OR ".join(
            _wrong(f"n.`{field}`", rule) for field, rule in rules(record).items() if field not in elsewhere
        )
        query = f"MATCH {pattern} WHERE {wrong} RETURN coalesce({name}, elementId(n))"
        yield f"{called} with a property that is missing, of another type, or not finite", query


def _wrong(place: str, rule: Rule) -> str:
    """Return the condition that a property violates a rule."""
    if rule.kind == "list":
        return f"NOT {place} IS :: LIST<{_TYPES[rule.items or 'text']}> NOT NULL"
    wrong = f"NOT {place} IS :: {_TYPES[rule.kind]}"
    if rule.kind == "number":
        wrong = f"CASE WHEN {wrong} THEN true ELSE isNaN({place}) OR abs({place}) > {_LARGEST} END"
    return f"{place} IS NOT NULL AND ({wrong})" if type(None) in rule.types else wrong
