"""Small architecture records for the suite: handmade chains and seeded random ones."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence

import numpy as np

from graphstore.contract import GraphStore
from graphstore.records import (
    ArchitectureRecord,
    Embeddings,
    JobRecord,
    JobState,
    LayerRecord,
    MeasurementRecord,
    NeighborRecord,
    OpRecord,
    ScoreRecord,
    SpaceRecord,
    StudyRecord,
    StudyState,
    TrialStatus,
)

OPERATIONS = (("sa", "sdp"), ("sa", "wma"), ("l", "dft"), ("l", "dct"), ("c", "5"), ("c", "9"), ("c+sa", "5+sdp"))


def architecture(layers: Sequence[LayerRecord], name: str = "", parameters: int = 1000) -> ArchitectureRecord:
    """A record whose graph has, per layer, its heads side by side, two add-norms and a feed-forward chain."""
    ops = [OpRecord(0, "input", "input", -1)]
    feeds: list[tuple[int, int]] = []

    def add(kind: str, label: str, layer: int, sources: Sequence[int]) -> int:
        index = len(ops)
        ops.append(OpRecord(index, kind, label, layer))
        # Unsorted on purpose: a store must keep the given order.
        feeds.extend((source, index) for source in reversed(sources))
        return index

    last = 0
    for layer in layers:
        label = f"{layer.family}_h{layer.hidden}_{layer.parameter}"
        heads = [add("head", label, layer.index, [last]) for _ in range(layer.heads)]
        last = norm = add("add_norm", "add_norm", layer.index, [last, *heads])
        for width in layer.feed_forward:
            last = add("feed_forward", f"ff_{width}", layer.index, [last])
        last = add("add_norm", "add_norm", layer.index, sorted({norm, last}))
    add("output", "output", -1, [last])
    spec = json.dumps([[y.family, y.parameter, y.hidden, y.heads, y.feed_forward] for y in layers])
    families = {layer.family for layer in layers} or {""}
    return ArchitectureRecord(
        id=hashlib.blake2b(spec.encode(), digest_size=16).hexdigest(),
        spec=spec,
        name=name,
        parameters=parameters,
        flops=parameters * 2**33 + 1,
        heterogeneity=1 - 1 / len(families),
        layers=tuple(layers),
        ops=tuple(ops),
        feeds=tuple(feeds),
    )


def random_architecture(rng: random.Random) -> ArchitectureRecord:
    """A record of 1 to 4 random layers."""
    layers = []
    for index in range(rng.randint(1, 4)):
        family, parameter = rng.choice(OPERATIONS)
        stack = tuple(rng.choice((64, 128, 256)) for _ in range(rng.randint(1, 3)))
        layers.append(LayerRecord(index, family, parameter, rng.choice((32, 64)), rng.choice((2, 4)), stack))
    return architecture(layers, parameters=rng.randint(1, 10**9))


def architectures(count: int, seed: int = 0) -> list[ArchitectureRecord]:
    """``count`` distinct random records, the same for the same seed."""
    rng = random.Random(seed)
    found: dict[str, ArchitectureRecord] = {}
    while len(found) < count:
        record = random_architecture(rng)
        found[record.id] = record
    return list(found.values())


def space(name: str = "nano") -> SpaceRecord:
    """A space with nested info and letters beyond ASCII."""
    return SpaceRecord(name, {"preset": name, "ready": False, "counts": {"layers": [2, 4]}, "note": "Ünïcode ✓"})


def score(
    architecture_id: str,
    task: str = "SST-2",
    value: float = 0.5,
    seed: int = 1,
    source: str = "t",
    majority: float | None = None,
    chance: float | None = None,
) -> ScoreRecord:
    """A score with every other field filled; the levels only if they are given."""
    kind = ("data", "steps=5", "recipe")
    return ScoreRecord(architecture_id, task, "accuracy", value, *kind, seed, source, 1.5, majority, chance)


def study(name: str = "first", space_name: str = "nano", created: float = 100.0) -> StudyRecord:
    """Return an open study; its description is what a migration makes of a study of version 2."""
    spec = {"version": 1, "name": name, "space": space_name, "policy": "boshnas", "objective": "mean", "seed": 7}
    spec |= {"budget": 16, "settings": {"tasks": ["a", "b"], "batch": 4}}
    return StudyRecord(name, space_name, spec, StudyState.OPEN, created)


def job(id: str = "job-1", created: float = 100.0) -> JobRecord:
    """A job that is starting."""
    return JobRecord(id, "search", JobState.STARTING, 0, "", created, 0.0, "waiting", "", {"study": "first"}, created)


def fill(store: GraphStore, count: int = 12) -> list[ArchitectureRecord]:
    """Put some of every kind of record into a store, except lineage."""
    records = architectures(count)
    ids = [record.id for record in records]
    for name, part in (("nano", records), ("tiny", records[::-2])):
        store.put_space(space(name))
        store.add_architectures(name, part)
    vectors = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    store.put_embeddings("nano", Embeddings(tuple(ids), vectors))
    near = [
        NeighborRecord(ids[i], ids[(i + rank) % count], "wl", rank, rank / 8) for i in range(count) for rank in (1, 2)
    ]
    store.put_neighbors("nano", "wl", near)
    store.add_scores([score(id, task, 0.5 + place / 64) for place, id in enumerate(ids) for task in ("SST-2", "CoLA")])
    store.add_measurements([MeasurementRecord(id, "cpu", "latency_s", 0.25, "s") for id in ids[:5]])
    store.create_study(study())
    store.add_trials("first", [(id, {"origin": "policy"}) for id in ids[:4]])
    claimed = [store.claim_trial("first", "me", 60.0, 100.0) for _ in range(3)]
    assert claimed[0] is not None
    store.finish_trial(claimed[0], TrialStatus.COMPLETE, 110.0, 0.75, scores=[score(ids[0], seed=2)])
    store.put_job(job())
    return records
