"""A naive catalogue in memory: plain lists and loops that compute the contract's results without engine code.

It is slow on purpose: every query scans all records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphstore.contract import GraphStore
from graphstore.errors import StoreInputError
from graphstore.queries import (
    ArchitectureQuery,
    Best,
    Fact,
    Found,
    LayerRule,
    MeasurementKey,
    OpRule,
    Page,
    Quantity,
    Sort,
)
from graphstore.records import (
    LOWER_IS_BETTER,
    ArchitectureRecord,
    ArchitectureSummary,
    Embeddings,
    LayerRecord,
    LineageRecord,
    MeasurementRecord,
    NeighborRecord,
    OpRecord,
    ScoreKind,
    ScoreRecord,
    SpaceRecord,
    StudyRecord,
    StudyState,
)


@dataclass(frozen=True)
class Catalogue:
    """Contents of a store.

    Attributes:
        spaces: architectures of each space in its order, by its name; spaces may share some.
        scores: distinct scores.
        measurements: distinct by architecture, device and quantity.
        vectors: of architectures, by space and id; of one length in a space.
        neighbors: by space; all of one kernel, named in them.
        trials: ids of the evaluated architectures, in order, by study; a study's space is the first one.
        lineage: distinct by run and donor run.
    """

    spaces: Mapping[str, Sequence[ArchitectureRecord]]
    scores: Sequence[ScoreRecord] = ()
    measurements: Sequence[MeasurementRecord] = ()
    vectors: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    neighbors: Mapping[str, Sequence[NeighborRecord]] = field(default_factory=dict)
    trials: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lineage: Sequence[LineageRecord] = ()


def fill(store: GraphStore, catalogue: Catalogue) -> None:
    """Write a catalogue into an empty store."""
    for name, records in catalogue.spaces.items():
        store.put_space(SpaceRecord(name))
        store.add_architectures(name, records)
    store.add_scores(catalogue.scores)
    store.add_measurements(catalogue.measurements)
    for name, vectors in catalogue.vectors.items():
        array = np.array(list(vectors.values()), dtype=np.float32)
        store.put_embeddings(name, Embeddings(tuple(vectors), array))
    for name, neighbors in catalogue.neighbors.items():
        store.put_neighbors(name, neighbors[0].kernel, neighbors)
    for study, ids in catalogue.trials.items():
        space = next(iter(catalogue.spaces))
        spec: dict[str, Any] = {"policy": "random", "budget": 9}
        store.create_study(StudyRecord(study, space, spec, StudyState.OPEN, 1.0))
        store.add_trials(study, [(id, {}) for id in ids])
    store.add_lineage(catalogue.lineage)


class NaiveLibrary:
    """One space's members, vectors and neighbours as plain lists and dictionaries.

    Attributes:
        ids: of the architectures, in the space's order.
        vectors: by id.
        neighbors: by source and kernel.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.vectors: dict[str, list[float]] = {}
        self.neighbors: dict[tuple[str, str], list[NeighborRecord]] = {}

    def append(
        self, architectures: Sequence[ArchitectureRecord], embeddings: Embeddings, neighbors: Sequence[NeighborRecord]
    ) -> int:
        """As ``GraphStore.append_to_library``."""
        new = list(dict.fromkeys(record.id for record in architectures if record.id not in self.ids))
        self.ids += new
        for id, vector in zip(embeddings.ids, embeddings.vectors.tolist(), strict=True):
            self.vectors.setdefault(id, vector)
        tables: dict[tuple[str, str], list[NeighborRecord]] = {}
        for neighbor in neighbors:
            tables.setdefault((neighbor.source, neighbor.kernel), []).append(neighbor)
        self.neighbors = {**tables, **self.neighbors}
        return len(new)


class Oracle:
    """Results of queries over a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._all = catalogue

    def members(self, space: str | None) -> list[ArchitectureRecord]:
        """Architectures of a space in its order, or of all spaces by id."""
        if space is not None:
            return list(self._all.spaces[space])
        every = {record.id: record for records in self._all.spaces.values() for record in records}
        return [every[id] for id in sorted(every)]

    def summaries(self, space: str | None = None, ids: Sequence[str] | None = None) -> list[ArchitectureSummary]:
        """As ``GraphStore.summaries``."""
        members = self.members(space)
        if ids is not None:
            members = [record for id in ids for record in members if record.id == id]
        return [_summary(record) for record in members]

    def find(self, query: ArchitectureQuery) -> Page:
        """As ``GraphStore.find``."""
        members = self.members(query.space)
        for quantity in query.quantities:
            if isinstance(quantity, ScoreKind) and len(self._kinds(quantity, members)) > 1:
                raise StoreInputError(f"scores of task {quantity.task!r} are of several kinds")
        fitting = [record for record in members if self._fits(record, query)]
        ordered = self._ordered(fitting, query.sort)
        end = len(ordered) if query.limit is None else query.offset + query.limit
        rows = [
            Found(_summary(record), tuple(self._value(record, quantity) for quantity in query.quantities))
            for record in ordered[query.offset : end]
        ]
        return Page(len(fitting), tuple(rows))

    def best_per_task(self, space: str | None = None) -> list[Best]:
        """As ``GraphStore.best_per_task``."""
        members = {record.id: record for record in self.members(space)}
        kinds = {(s.task, *_kind(s)) for s in self._all.scores if s.architecture in members}
        found = []
        for kind in sorted(kinds):
            key = ScoreKind(*kind)
            scored = [record for record in members.values() if self._value(record, key) is not None]
            best = self._ordered(scored, [Sort(key, descending=key.metric not in LOWER_IS_BETTER)])[0]
            value = self._value(best, key)
            assert value is not None
            found.append(Best(key, best.id, value, len(scored)))
        return found

    def nearest(self, space: str, vector: Sequence[float], k: int) -> list[tuple[str, float]]:
        """As ``GraphStore.nearest``; to be equal, vectors must be short and of small whole numbers."""
        vectors = self._all.vectors.get(space, {})
        distances = [
            (math.sqrt(sum((a - b) ** 2 for a, b in zip(v, vector, strict=True))), id) for id, v in vectors.items()
        ]
        return [(id, distance) for distance, id in sorted(distances)[:k]]

    def neighbors(self, space: str, id: str, kernel: str, k: int) -> list[NeighborRecord]:
        """As ``GraphStore.neighbors``."""
        fitting = [n for n in self._all.neighbors.get(space, ()) if n.source == id and n.kernel == kernel]
        return sorted(fitting, key=lambda n: n.rank)[:k]

    def scores(
        self, space: str | None = None, architecture: str | None = None, task: str | None = None
    ) -> list[ScoreRecord]:
        """As ``GraphStore.scores``."""
        ids = {record.id for record in self.members(space)}
        fitting = [
            s
            for s in self._all.scores
            if s.architecture in ids and architecture in (None, s.architecture) and task in (None, s.task)
        ]
        return sorted(fitting, key=lambda s: (s.architecture, s.task, s.metric, s.source, s.seed, s.id))

    def measurements(self, space: str | None = None, architecture: str | None = None) -> list[MeasurementRecord]:
        """As ``GraphStore.measurements``."""
        ids = {record.id for record in self.members(space)}
        fitting = [
            m for m in self._all.measurements if m.architecture in ids and architecture in (None, m.architecture)
        ]
        return sorted(fitting, key=lambda m: (m.architecture, m.device, m.quantity))

    def trials(self, study: str) -> list[tuple[int, str]]:
        """Number and architecture of each trial of a study, as ``GraphStore.trials`` orders them."""
        return list(enumerate(self._all.trials[study]))

    def lineage(self, architecture: str | None = None) -> list[LineageRecord]:
        """As ``GraphStore.lineage``."""
        if architecture is None:
            return sorted(self._all.lineage, key=lambda r: (r.run, r.donor_run))
        distances = {r.run: 0 for r in self._all.lineage if r.architecture == architecture}
        for distance in range(len(self._all.lineage)):
            for record in self._all.lineage:
                if distances.get(record.run) == distance:
                    distances.setdefault(record.donor_run, distance + 1)
        reached = [r for r in self._all.lineage if r.run in distances]
        return sorted(reached, key=lambda r: (distances[r.run], r.run, r.donor_run))

    def _kinds(self, key: ScoreKind, members: Sequence[ArchitectureRecord]) -> set[tuple[str, ...]]:
        ids = {record.id for record in members}
        return {_kind(s) for s in self._all.scores if s.architecture in ids and _matches(s, key)}

    def _value(self, record: ArchitectureRecord, quantity: Quantity) -> float | None:
        if isinstance(quantity, Fact):
            facts: dict[Fact, float] = {
                Fact.PARAMETERS: record.parameters,
                Fact.FLOPS: record.flops,
                Fact.HETEROGENEITY: record.heterogeneity,
                Fact.DEPTH: len(record.layers),
            }
            return facts[quantity]
        if isinstance(quantity, MeasurementKey):
            for m in self._all.measurements:
                if (m.architecture, m.device, m.quantity) == (record.id, quantity.device, quantity.quantity):
                    return m.value
            return None
        values = sorted(s.value for s in self._all.scores if s.architecture == record.id and _matches(s, quantity))
        total = 0.0
        for value in values:
            total = total + value
        return total / len(values) if values else None

    def _ordered(self, records: Sequence[ArchitectureRecord], sorts: Sequence[Sort]) -> list[ArchitectureRecord]:
        ordered = sorted(records, key=lambda record: record.id)
        # Sorting is stable: the last key first, the first key last.
        for sort in reversed(sorts):
            known = [record for record in ordered if self._value(record, sort.quantity) is not None]
            unknown = [record for record in ordered if self._value(record, sort.quantity) is None]
            ordered = sorted(known, key=self._cost(sort)) + unknown
        return ordered

    def _cost(self, sort: Sort) -> Callable[[ArchitectureRecord], float]:
        def cost(record: ArchitectureRecord) -> float:
            value = self._value(record, sort.quantity)
            assert value is not None
            return -value if sort.descending else value

        return cost

    def _fits(self, record: ArchitectureRecord, query: ArchitectureQuery) -> bool:
        for condition in query.conditions:
            value = self._value(record, condition.quantity)
            if value is None or not condition.range.holds(value):
                return False
        for rule in query.layers:
            if rule.position is not None:
                place = rule.position if rule.position >= 0 else len(record.layers) + rule.position
                if not 0 <= place < len(record.layers) or not _layer_fits(record.layers[place], rule):
                    return False
            elif not rule.count.holds(sum(_layer_fits(layer, rule) for layer in record.layers)):
                return False
        return all(rule.count.holds(sum(_op_fits(op, rule) for op in record.ops)) for rule in query.ops)


def _kind(score: ScoreRecord) -> tuple[str, ...]:
    return score.metric, score.dataset, score.fidelity, score.recipe, score.source.split(":")[0]


def _matches(score: ScoreRecord, key: ScoreKind) -> bool:
    if score.task != key.task:
        return False
    wanted = (key.metric, key.dataset, key.fidelity, key.recipe, key.origin)
    return all(want is None or want == got for want, got in zip(wanted, _kind(score), strict=True))


def _layer_fits(layer: LayerRecord, rule: LayerRule) -> bool:
    for text, named in ((layer.family, rule.family), (layer.parameter, rule.parameter)):
        if named is None:
            continue
        parts, wanted = text.split("+"), set(named.split("+"))
        if not wanted <= set(parts) or (rule.pure and sorted(parts) != sorted(wanted)):
            return False
    return (
        rule.hidden.holds(layer.hidden)
        and rule.heads.holds(layer.heads)
        and rule.feed_forward_depth.holds(len(layer.feed_forward))
        and all(rule.feed_forward.holds(width) for width in layer.feed_forward)
    )


def _op_fits(op: OpRecord, rule: OpRule) -> bool:
    if rule.kind is not None and op.kind != rule.kind:
        return False
    if rule.label is None:
        return True
    if rule.label.endswith("*"):
        return op.label.startswith(rule.label[:-1])
    return op.label == rule.label


def _summary(record: ArchitectureRecord) -> ArchitectureSummary:
    return ArchitectureSummary(
        record.id, record.spec, record.name, len(record.layers), record.parameters, record.flops, record.heterogeneity,
        tuple(layer.family for layer in record.layers),
        tuple(f"{layer.family}_{layer.parameter}" for layer in record.layers),
        tuple(layer.hidden for layer in record.layers),
    )  # fmt: skip
