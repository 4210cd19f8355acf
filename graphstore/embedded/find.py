"""Typed queries in SQLite: each is one statement composed of fixed parts, with all values as parameters.

Scores are averaged first, in a table ``v0``, ``v1``, … for each quantity that is a score. If a condition concerns a
score, its table is the outermost loop, because few architectures have scores. The matching rows are materialised
(``hit``), counted, ordered and cut.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from graphstore.embedded.library import SUMMARY, summary_of
from graphstore.embedded.part import Part, space_key
from graphstore.embedded.rules import layer_condition, op_condition
from graphstore.parameters import Parameters
from graphstore.queries import (
    ArchitectureQuery,
    Best,
    Fact,
    Found,
    Page,
    Quantity,
    check_comparable,
    ends_of,
    mean_value,
)
from graphstore.records import LOWER_IS_BETTER, ScoreKind

_FACTS = {
    Fact.PARAMETERS: "a.parameters",
    Fact.FLOPS: "a.flops",
    Fact.HETEROGENEITY: "a.heterogeneity",
    Fact.DEPTH: "json_array_length(a.profile, '$[0]')",
}

_KIND = ", ".join(ScoreKind.FIELDS)

_BEST = """
WITH mean AS (
    SELECT {kind}, architecture, mean_value(value) AS value FROM score {where} GROUP BY {kind}, architecture
), ranked AS (
    SELECT mean.*, a.id, count(*) OVER (PARTITION BY {kind}) AS scored,
        row_number() OVER (
            PARTITION BY {kind}
            ORDER BY CASE WHEN metric IN (SELECT value FROM json_each({lower})) THEN mean.value ELSE -mean.value END,
                a.id
        ) AS place
    FROM mean JOIN architecture a ON a.key = mean.architecture
)
SELECT {kind}, id, value, scored FROM ranked WHERE place = 1 ORDER BY {kind}
"""


class Questions(Part):
    """Queries over architectures."""

    def find(self, query: ArchitectureQuery) -> Page:
        """Return the architectures that fit a query, in its order, and the number that fit in all."""
        with self._database.reading() as db:
            _add_mean(db)
            space = None if query.space is None else space_key(db, query.space)
            for quantity in query.quantities:
                if isinstance(quantity, ScoreKind):
                    check_comparable(quantity, _kinds(db, quantity, space))
            statement = _Statement(query, space)
            rows = db.execute(*statement.page()).fetchall()
            (total,) = rows[0][:1] if rows else db.execute(*statement.total()).fetchone()
        end = 1 + len(query.quantities)
        return Page(total, tuple(Found(summary_of(*row[end:]), tuple(row[1:end])) for row in rows))

    def best_per_task(self, space: str | None = None) -> list[Best]:
        """Return the best architecture of every score kind, ordered by the fields of the kind."""
        parameters = Parameters(":")
        with self._database.reading() as db:
            _add_mean(db)
            where = ""
            if space is not None:
                where = "WHERE " + _in_space("score.architecture", parameters, space_key(db, space))
            lower = parameters.place(json.dumps(sorted(LOWER_IS_BETTER)))
            rows = db.execute(_BEST.format(kind=_KIND, where=where, lower=lower), parameters.values).fetchall()
        fields = len(ScoreKind.FIELDS)
        return [Best(ScoreKind(*row[:fields]), *row[fields:]) for row in rows]


class _Mean:
    """A mean that is equal on every engine; SQLite's own adds the values in an unspecified order."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def step(self, value: float, /) -> None:
        """Add a value."""
        self._values.append(value)

    def finalize(self) -> float:
        """Return the mean of the values."""
        return mean_value(self._values)


def _add_mean(db: sqlite3.Connection) -> None:
    db.create_aggregate("mean_value", 1, _Mean)  # type: ignore[arg-type]  # the stubs know whole numbers only


def _in_space(column: str, parameters: Parameters, space: int) -> str:
    # A list of the space's members would take longer to build than these few lookups.
    return f"EXISTS (SELECT 1 FROM holds h WHERE h.space = {parameters.place(space)} AND h.architecture = {column})"


def _scores(key: ScoreKind, parameters: Parameters, space: int | None) -> str:
    conditions = [f"{field} = {parameters.place(value)}" for field, value in key.fields.items()]
    if space is not None:
        conditions.append(_in_space("score.architecture", parameters, space))
    return "FROM score WHERE " + " AND ".join(conditions)


def _kinds(db: sqlite3.Connection, key: ScoreKind, space: int | None) -> list[ScoreKind]:
    parameters = Parameters(":")
    query = f"SELECT DISTINCT {_KIND} {_scores(key, parameters, space)}"
    return [ScoreKind(*row) for row in db.execute(query, parameters.values)]


class _Statement:
    """A query in SQL."""

    def __init__(self, query: ArchitectureQuery, space: int | None) -> None:
        self._query = query
        self._space = space
        self._parameters = Parameters(":")
        self._tables = {quantity: f"v{number}" for number, quantity in enumerate(query.quantities)}
        self._means = [self._mean(key) for key in self._tables if isinstance(key, ScoreKind)]
        self._from = self._joined()
        self._where = self._conditions()

    def page(self) -> tuple[str, dict[str, Any]]:
        """Return the page as rows: total number of matches, quantities, summary."""
        values = "".join(f"hit.{table}, " for table in self._tables.values())
        order = ""
        for number, sort in enumerate(self._query.sort):
            order += f"hit.s{number} IS NULL, hit.s{number}{' DESC' if sort.descending else ''}, "
        limit = -1 if self._query.limit is None else self._query.limit
        text = (
            f"{self._hits()} SELECT (SELECT count(*) FROM hit), {values}{SUMMARY} "
            f"FROM hit CROSS JOIN architecture a ON a.key = hit.key ORDER BY {order}a.id "
            f"LIMIT {self._parameters.place(limit)} OFFSET {self._parameters.place(self._query.offset)}"
        )
        return text, self._parameters.values

    def total(self) -> tuple[str, dict[str, Any]]:
        """Return a query for the total number of matches, for a page without rows."""
        return f"{self._hits()} SELECT count(*) FROM hit", self._parameters.values

    def _hits(self) -> str:
        columns = ["a.key AS key"]
        columns += [f"{table}.value AS {table}" for table in self._tables.values()]
        columns += [f"{self._value(sort.quantity)} AS s{number}" for number, sort in enumerate(self._query.sort)]
        where = " WHERE " + " AND ".join(self._where) if self._where else ""
        hit = f"hit AS MATERIALIZED (SELECT {', '.join(columns)} FROM {self._from}{where})"
        return "WITH " + ", ".join([*self._means, hit])

    def _value(self, quantity: Quantity) -> str:
        return _FACTS[quantity] if isinstance(quantity, Fact) else f"{self._tables[quantity]}.value"

    def _mean(self, key: ScoreKind) -> str:
        means = f"SELECT architecture, mean_value(value) AS value {_scores(key, self._parameters, self._space)}"
        return f"{self._tables[key]} AS MATERIALIZED ({means} GROUP BY architecture)"

    def _joined(self) -> str:
        demanded = {condition.quantity for condition in self._query.conditions}
        first = next((key for key in self._tables if isinstance(key, ScoreKind) and key in demanded), None)
        text = "architecture a"
        if first is not None:
            # CROSS JOIN makes SQLite keep this order.
            text = f"{self._tables[first]} CROSS JOIN architecture a ON a.key = {self._tables[first]}.architecture"
        for quantity, table in self._tables.items():
            if quantity == first:
                continue
            text += f"{'' if quantity in demanded else ' LEFT'} JOIN "
            if isinstance(quantity, ScoreKind):
                text += f"{table} ON {table}.architecture = a.key"
            else:
                device, name = self._parameters.place(quantity.device), self._parameters.place(quantity.quantity)
                text += (
                    f"measurement {table} ON {table}.architecture = a.key AND {table}.device = {device} "
                    f"AND {table}.quantity = {name}"
                )
        return text

    def _conditions(self) -> list[str]:
        found = []
        if self._space is not None:
            found.append(_in_space("a.key", self._parameters, self._space))
        for condition in self._query.conditions:
            ends = ends_of(condition)
            found += self._parameters.within(self._value(condition.quantity), ends)
        found += [layer_condition(rule, self._parameters) for rule in self._query.layers]
        found += [op_condition(rule, self._parameters) for rule in self._query.ops]
        return found
