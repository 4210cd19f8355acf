"""Typed queries in Cypher: each is one statement composed of fixed parts, with all values as parameters.

If a condition concerns a score, the query starts from the index of the scores' task, because few architectures have
scores; otherwise from the space. The server collects, counts, orders and cuts the matches.

The server distinguishes -0.0 from 0.0 and compares integers with floats as floats. Therefore 0.0 is added to every
float, and bounds have the type of the values that they are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphstore.neo4j.graph import Statements
from graphstore.neo4j.library import SUMMARY, summary_of
from graphstore.neo4j.part import Part, need_space
from graphstore.neo4j.rules import layer_condition, op_condition
from graphstore.parameters import Parameters
from graphstore.queries import (
    ArchitectureQuery,
    Best,
    Fact,
    Found,
    MeasurementKey,
    Page,
    Quantity,
    check_comparable,
    ends_of,
)
from graphstore.records import LOWER_IS_BETTER, ScoreKind

Names = Mapping[ScoreKind | MeasurementKey, str]
"""The variable that holds a quantity."""

_MEAN = "reduce(total = 0.0, value IN given | total + value) / size(given) + 0.0"
"""Mean of the list ``given``, which must be in ascending order."""

_FACTS: dict[Quantity, str] = {
    Fact.PARAMETERS: "a.parameters",
    Fact.FLOPS: "a.flops",
    Fact.HETEROGENEITY: "(a.heterogeneity + 0.0)",
    Fact.DEPTH: "a.depth",
}

_FIELDS = {name: f"s.{name}" for name in ScoreKind.FIELDS} | {"origin": "split(s.source, ':')[0]"}
"""The fields of the kind of a score ``s``."""

_KIND = ", ".join(_FIELDS)
_KIND_OF = ", ".join(f"{field} AS {name}" for name, field in _FIELDS.items())

_BEST = f"""
WITH a, {_KIND_OF}, toFloat(s.value) AS value ORDER BY value
WITH a, {_KIND}, collect(value) AS given
WITH a.id AS id, {_KIND}, {_MEAN} AS value
ORDER BY CASE WHEN metric IN $lower THEN value ELSE 0.0 - value END, id
WITH {_KIND}, collect({{id: id, value: value}}) AS ranked
RETURN {_KIND}, ranked[0].id AS architecture, ranked[0].value AS value, size(ranked) AS scored
"""
"""End of a query for the best of scores ``s`` of architectures ``a``."""


class Questions(Part):
    """Queries over architectures."""

    def find(self, query: ArchitectureQuery) -> Page:
        """Return the architectures that fit a query, in its order, and the number that fit in all."""
        for quantity in query.quantities:
            if isinstance(quantity, ScoreKind):
                # Few stores hold several kinds that fit; only then it matters which of them lie in the space.
                if len(kinds := self._kinds(quantity, None)) > 1 and query.space is not None:
                    kinds = self._kinds(quantity, query.space)
                check_comparable(quantity, kinds)
        text, parameters = _statement(query)
        (row,) = self._graph.ask(text, **parameters.values)
        if not row["total"] and query.space is not None:
            space = query.space
            self._graph.read(lambda db: need_space(db, space))
        rows = (Found(summary_of(found["summary"]), tuple(found["values"])) for found in row["rows"])
        return Page(row["total"], tuple(rows))

    def _kinds(self, key: ScoreKind, space: str | None) -> list[ScoreKind]:
        """Return the score kinds that ``key`` covers, in a space or anywhere."""
        parameters = Parameters("$")
        query = f"MATCH (s:ArchexScore) WHERE {_score_conditions(key, parameters)}"
        if space is not None:
            query = query.replace("(s:ArchexScore)", "(s:ArchexScore)-[:OF]->(a)", 1)
            query += f" WITH s, a WHERE {_in_space(space, parameters)}"
        rows = self._graph.ask(f"{query} RETURN DISTINCT {_KIND_OF}", **parameters.values)
        return [ScoreKind(**row) for row in rows]

    def best_per_task(self, space: str | None = None) -> list[Best]:
        """Return the best architecture of every score kind, ordered by the fields of the kind."""
        pattern = "(s:ArchexScore)-[:OF]->(a:ArchexArchitecture)"
        if space is not None:
            pattern += "<-[:HOLDS]-(:ArchexSpace {name: $space})"
        query = f"MATCH {pattern} {_BEST}"

        def work(db: Statements) -> list[Best]:
            if space is not None:
                need_space(db, space)
            rows = map(dict, db.rows(query, space=space, lower=sorted(LOWER_IS_BETTER)))
            return [Best(ScoreKind(**{name: row.pop(name) for name in ScoreKind.FIELDS}), **row) for row in rows]

        return sorted(self._graph.read(work), key=lambda best: tuple(best.kind.fields.values()))


def _score_conditions(key: ScoreKind, parameters: Parameters) -> str:
    fits = [f"{_FIELDS[name]} = {parameters.place(value)}" for name, value in key.fields.items()]
    # Every score has a value; the index on task and value is used only where both are asked for.
    return " AND ".join([*fits, "s.value IS NOT NULL"])


def _in_space(space: str, parameters: Parameters) -> str:
    return f"EXISTS {{(:ArchexSpace {{name: {parameters.place(space)}}})-[:HOLDS]->(a)}}"


def _statement(query: ArchitectureQuery) -> tuple[str, Parameters]:
    """A query in Cypher; its one row has ``total`` and ``rows``, each with ``values`` and ``summary``."""
    parameters = Parameters("$")
    names: Names = {quantity: f"v{number}" for number, quantity in enumerate(query.quantities)}
    bounds: dict[Quantity, list[str]] = {}
    for condition in query.conditions:
        expression = _expression(condition.quantity, names)
        bounds.setdefault(condition.quantity, []).extend(parameters.within(expression, ends_of(condition)))
    first = next((key for key in names if isinstance(key, ScoreKind) and key in bounds), None)
    where = [bound for quantity, found in bounds.items() if quantity == first or quantity in _FACTS for bound in found]
    where += [layer_condition(rule, parameters) for rule in query.layers]
    where += [op_condition(rule, parameters) for rule in query.ops]
    if first is not None:
        text = _from_scores(first, names[first], query.space, parameters)
    elif query.space is not None:
        text = f"MATCH (:ArchexSpace {{name: {parameters.place(query.space)}}})-[:HOLDS]->(a:ArchexArchitecture)"
    else:
        text = "MATCH (a:ArchexArchitecture)"
    text += _where(where)
    for quantity, name in names.items():
        if quantity != first:
            text += f"\nWITH *, {_value(quantity, parameters)} AS {name}"
            if quantity in bounds:
                text += _where([f"{name} IS NOT NULL", *bounds[quantity]])
    return text + _page(query, names, parameters), parameters


def _expression(quantity: Quantity, names: Names) -> str:
    return _FACTS[quantity] if isinstance(quantity, Fact) else names[quantity]


def _where(conditions: Sequence[str]) -> str:
    return "\nWHERE " + " AND ".join(conditions) if conditions else ""


def _from_scores(key: ScoreKind, name: str, space: str | None, parameters: Parameters) -> str:
    """Architectures that have a score, with its mean."""
    inside = f" WHERE {_in_space(space, parameters)}" if space is not None else ""
    return (
        f"MATCH (s:ArchexScore)-[:OF]->(a:ArchexArchitecture) WHERE {_score_conditions(key, parameters)}\n"
        "WITH a, toFloat(s.value) AS value ORDER BY value\n"
        f"WITH a, collect(value) AS given{inside}\nWITH a, {_MEAN} AS {name}"
    )


def _value(quantity: ScoreKind | MeasurementKey, parameters: Parameters) -> str:
    """An architecture's value of a quantity, null if it has none."""
    if isinstance(quantity, ScoreKind):
        conditions = _score_conditions(quantity, parameters)
        given = (
            f"COLLECT {{MATCH (a)<-[:OF]-(s:ArchexScore) WHERE {conditions} RETURN toFloat(s.value) AS v ORDER BY v}}"
        )
        return f"head([given IN [{given}] WHERE size(given) > 0 | {_MEAN}])"
    device, name = parameters.place(quantity.device), parameters.place(quantity.quantity)
    found = f"(a)<-[:OF]-(m:ArchexMeasurement {{device: {device}, quantity: {name}}}) | toFloat(m.value) + 0.0"
    return f"head([{found}])"


def _page(query: ArchitectureQuery, names: Names, parameters: Parameters) -> str:
    """Return the end of the query, which counts, orders and cuts the matches."""
    held = ", ".join(["a: a", *(f"{name}: {name}" for name in names.values())])
    unpacked = ", ".join(["hit.a AS a", *(f"hit.{name} AS {name}" for name in names.values())])
    order = ""
    for sort in query.sort:
        key = _expression(sort.quantity, names)
        order += f"{key} IS NULL, {key}{' DESC' if sort.descending else ''}, "
    limit = "" if query.limit is None else f" LIMIT {parameters.place(query.limit)}"
    return f"""
WITH collect({{{held}}}) AS hits
RETURN size(hits) AS total, COLLECT {{
    UNWIND hits AS hit
    WITH {unpacked} ORDER BY {order}a.id SKIP {parameters.place(query.offset)}{limit}
    WITH [{", ".join(names.values())}] AS values, {SUMMARY}
    RETURN {{values: values, summary: summary}}
}} AS rows"""
