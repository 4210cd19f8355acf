"""Conversion of architecture specs and scores to the store's records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from explorer.measure.size import flops, parameters
from explorer.similarity.graph import ArchitectureGraph, build_graph, graph_hash
from explorer.space.formats import to_json
from explorer.space.heterogeneity import heterogeneity
from explorer.space.named import named_models
from explorer.space.spec import ArchitectureSpec
from graphstore.records import ArchitectureRecord, LayerRecord, OpRecord, ScoreRecord

FLOPS_LENGTH = 128
"""Sequence length in tokens for which FLOPs are stored."""


class Scored(Protocol):
    """A score without its architecture: of a training (``TaskScore``), or of a row of a table (``FoundScore``)."""

    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def metric(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def dataset(self) -> str: ...  # noqa: D102
    @property
    def fidelity(self) -> str: ...  # noqa: D102
    @property
    def recipe(self) -> str: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def majority(self) -> float | None: ...  # noqa: D102
    @property
    def chance(self) -> float | None: ...  # noqa: D102


def score_record(score: Scored, architecture: str, source: str) -> ScoreRecord:
    """Return a score as the store keeps it.

    Args:
        score: the score.
        architecture: id of the scored architecture.
        source: where the score comes from; see ``explorer.library.sources`` for trainings.
    """
    return ScoreRecord(
        architecture,
        score.task,
        score.metric,
        score.value,
        dataset=score.dataset,
        fidelity=score.fidelity,
        recipe=score.recipe,
        seed=score.seed,
        source=source,
        seconds=score.seconds,
        majority=score.majority,
        chance=score.chance,
    )


def named_architectures() -> dict[ArchitectureSpec, str]:
    """Return the names of the architectures that have one in the literature."""
    return {spec: name for name, spec in named_models().items()}


def architecture_record(
    spec: ArchitectureSpec, name: str = "", graph: ArchitectureGraph | None = None
) -> ArchitectureRecord:
    """Build the store's record of an architecture; ``parameters`` excludes the embeddings."""
    graph = graph or build_graph(spec)
    layers = tuple(
        LayerRecord(i, layer.family, layer.parameter, layer.hidden, len(layer.heads), layer.feed_forward)
        for i, layer in enumerate(spec.layers)
    )
    nodes = zip(graph.kinds, graph.labels, graph.layers, strict=True)
    return ArchitectureRecord(
        id=graph_hash(graph),
        spec=to_json(spec),
        name=name,
        parameters=parameters(spec, embeddings=False),
        flops=flops(spec, length=FLOPS_LENGTH),
        heterogeneity=heterogeneity(spec),
        layers=layers,
        ops=tuple(OpRecord(i, kind, label, layer) for i, (kind, label, layer) in enumerate(nodes)),
        feeds=graph.edges,
    )


def architecture_records(specs: Sequence[ArchitectureSpec]) -> list[tuple[ArchitectureRecord, ArchitectureGraph]]:
    """Build the records and graphs of many architectures; duplicates are dropped, the order is kept."""
    names = named_architectures()
    seen: dict[str, tuple[ArchitectureRecord, ArchitectureGraph]] = {}
    for spec in specs:
        graph = build_graph(spec)
        record = architecture_record(spec, names.get(spec, ""), graph)
        seen.setdefault(record.id, (record, graph))
    return list(seen.values())
