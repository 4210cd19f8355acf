"""From a user's words to the typed questions of ``graphstore.queries``, for the command line and the app.

Ranges and rules about layers and operations are described in ``explorer.analysis.rules``; besides them there are

* **conditions** on a score or a measurement, its name and a range: ``SST-2>=0.8``, ``raspberry latency<=0.5``; the name
  alone asks that it is known;
* **orders**: ``parameters``, ``-SST-2`` (largest first), ``raspberry latency``; ``score:`` or ``measurement:`` before
  the name where it would be taken for something else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from explorer.analysis.rules import named_range, parse_layer_rule, parse_op_rule, parse_range, plain
from explorer.analysis.score_kinds import resolve_kind
from explorer.errors import InputError
from graphstore import GraphStore
from graphstore.queries import (
    ANY,
    ArchitectureQuery,
    Condition,
    Fact,
    MeasurementKey,
    Quantity,
    Sort,
)
from graphstore.records import ScoreKind

Named = TypeVar("Named", Condition, Sort)
LARGEST_NUMBER = 2**63 - 1
"""The largest whole number that a store counts with."""


def parse_score(text: str, kind: Mapping[str, str]) -> Condition:
    """Read a condition on a score. Raises InputError if it is none."""
    name, found = named_range(text)
    if not name or name[0] in "<>=":
        raise InputError("score", "name a task", text, "Write for example 'SST-2>=0.8'.")
    return Condition(ScoreKind(name, **kind), ANY if found is None else parse_range(f"score {name}", found))


def parse_measurement(text: str) -> Condition:
    """Read a condition on a measurement. Raises InputError if it is none."""
    name, found = named_range(text)
    return Condition(_measurement(name, text), ANY if found is None else parse_range(f"measurement {name}", found))


def _measurement(name: str, text: str) -> MeasurementKey:
    device, _, quantity = name.rpartition(" ")
    if not device or not quantity:
        raise InputError("measurement", "name a device and a quantity", text, "Write for example 'cpu latency<=0.5'.")
    return MeasurementKey(device, quantity)


def parse_sort(text: str, kind: Mapping[str, str]) -> Sort:
    """Read an order or an objective; a minus before it puts the largest first. Raises InputError if it is none."""
    given = plain(text)
    name = given.lstrip("+-").strip()
    if not name or len(given) - len(given.lstrip("+-")) > 1:
        raise InputError("sort", "name a fact, a score or a measurement", text, "Write 'parameters' or '-SST-2'.")
    return Sort(_quantity(name, kind), descending=given.startswith("-"))


def _quantity(name: str, kind: Mapping[str, str]) -> Quantity:
    prefix, separator, rest = name.partition(":")
    if separator and prefix == "score" and rest.strip():
        return ScoreKind(rest.strip(), **kind)
    if separator and prefix == "measurement":
        return _measurement(rest.strip(), name)
    if name in set(Fact):
        return Fact(name)
    return _measurement(name, name) if " " in name else ScoreKind(name, **kind)


def quantity_title(quantity: Quantity) -> str:
    """A quantity in a user's words."""
    if isinstance(quantity, ScoreKind):
        return quantity.task
    return quantity.value if isinstance(quantity, Fact) else f"{quantity.device} {quantity.quantity}"


@dataclass(frozen=True)
class QuestionTexts:
    """What a user says of the architectures wanted; see the module's description for each.

    Attributes:
        layers, ops: rules, all of which must hold.
        parameters, flops, depth, heterogeneity: ranges; empty for any.
        scores, measurements: conditions, all of which must hold.
        kind: fields of the score kind (metric, dataset, fidelity, recipe) that count wherever a task is named; the
            recipe is a name of ``explorer.training.recipe.RECIPES`` or as the scores have it.
    """

    layers: Sequence[str] = ()
    ops: Sequence[str] = ()
    parameters: str = ""
    flops: str = ""
    depth: str = ""
    heterogeneity: str = ""
    scores: Sequence[str] = ()
    measurements: Sequence[str] = ()
    kind: Mapping[str, str] = field(default_factory=dict)


def build_query(
    texts: QuestionTexts,
    space: str | None = None,
    sort: Sequence[str] = (),
    limit: int | None = 50,
    offset: int = 0,
) -> ArchitectureQuery:
    """The typed question of a user's words.

    Args:
        texts: which architectures.
        space: name of the space, or ``None`` for the whole store.
        sort: orders, the first decides.
        limit: at most so many, or ``None`` for all.
        offset: so many are passed over first.

    Raises:
        InputError: a text is not what it should be, or a number is too large.
    """
    for name, number in (("limit", limit), ("offset", offset)):
        if number is not None and number > LARGEST_NUMBER:
            raise InputError(name, f"be at most {LARGEST_NUMBER:,}", number, "Give a smaller number.")
    facts: list[Condition] = []
    for fact in Fact:
        text: str = getattr(texts, fact.value)
        if text.strip():
            facts.append(Condition(fact, parse_range(fact.value, text, whole=fact is not Fact.HETEROGENEITY)))
    deep = next((condition.range for condition in facts if condition.quantity is Fact.DEPTH), ANY)
    depth = int(deep.at_least) if deep.at_least is not None and deep.at_least == deep.at_most else None
    return ArchitectureQuery(
        space,
        tuple(parse_layer_rule(text, depth) for text in texts.layers),
        tuple(parse_op_rule(text) for text in texts.ops),
        (
            *facts,
            *(parse_score(text, texts.kind) for text in texts.scores),
            *(parse_measurement(text) for text in texts.measurements),
        ),
        tuple(parse_sort(text, texts.kind) for text in sort),
        limit,
        offset,
    )


def settle(
    store: GraphStore, query: ArchitectureQuery, objectives: Sequence[Sort] = ()
) -> tuple[ArchitectureQuery, tuple[Sort, ...]]:
    """A question whose answer means something: what it names is there, and its scores are of one kind.

    Names of the package's recipes become the digests by which scores name them.

    Args:
        store: of the question.
        query: what was asked, as read from a user's words.
        objectives: of a Pareto set.

    Returns:
        Both as the store is to be asked.

    Raises:
        InputError: a score or a measurement is nowhere in the space; the error lists what there is. Or the scores of a
            task are of several kinds; the error says which options choose one.
    """
    named = dict.fromkeys([*query.quantities, *(objective.quantity for objective in objectives)])
    where = f"space {query.space}" if query.space else "the store"
    settled: dict[Quantity, Quantity] = {}
    scores = [quantity for quantity in named if isinstance(quantity, ScoreKind)]
    known_kinds = [best.kind for best in store.best_per_task(query.space)] if scores else []
    for kind in scores:
        settled[kind] = resolve_kind(kind, known_kinds, where)
    measured = [quantity for quantity in named if isinstance(quantity, MeasurementKey)]
    if measured:
        known = {MeasurementKey(record.device, record.quantity) for record in store.measurements(space=query.space)}
        lacking = next((quantity for quantity in measured if quantity not in known), None)
        if lacking is not None:
            names = "; ".join(sorted(quantity_title(quantity) for quantity in known)) or "none yet"
            rule = f"be one that {where} has: {names}"
            raise InputError("measurement", rule, quantity_title(lacking), "Choose one of them, or measure first.")

    asked = dataclasses.replace(
        query, conditions=_exchanged(query.conditions, settled), sort=_exchanged(query.sort, settled)
    )
    return asked, _exchanged(objectives, settled)


def _exchanged(ones: Sequence[Named], settled: Mapping[Quantity, Quantity]) -> tuple[Named, ...]:
    return tuple(dataclasses.replace(one, quantity=settled.get(one.quantity, one.quantity)) for one in ones)
