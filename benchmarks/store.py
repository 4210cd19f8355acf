"""Both engines of the store with one catalogue: how long a full load, a graph, neighbours, filters and scores take.

Run ``uv run python benchmarks/store.py`` (three loads of all 9,312 architectures of the nano space, with every layer,
operation and edge), with ``--quick`` (one load, fewer repetitions), or with ``--growth`` (100,000 architectures drawn
from the tiny-mini space). A Neo4j server is started for it unless ``--neo4j-url`` names an empty one. Vectors are the
one-hot design choices in 16 dimensions, neighbours the nearest of those. Every request is warmed up first: the server
compiles what runs often. A table of medians and 95th percentiles is printed, then one JSON line of medians.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from explorer.cli.bench import OptionParser, run_main
from explorer.library.records import architecture_record
from explorer.search import encode_choices
from explorer.space.grammar import load_space
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore, open_store
from graphstore.neo4j.server import LocalNeo4j
from graphstore.queries import ArchitectureQuery, Condition, Fact, LayerRule, Range, Sort
from graphstore.records import ArchitectureRecord, Embeddings, NeighborRecord, ScoreKind, ScoreRecord, SpaceRecord

ENGINES = ("embedded", "neo4j")
GROWTH = 100_000
CHUNK = 5_000
DIMENSIONS, NEIGHBORS = 16, 10
SPACE, KERNEL = "library", "one_hot"
LEAST = 20
"""Fewest times a request is made, however slow."""
SCORED, TASKS, WRITTEN = 500, ("package", "order", "pair"), 64

FILTER = ArchitectureQuery(
    space=SPACE,
    layers=(LayerRule(position=-1, family="c"),),
    conditions=(
        Condition(Fact.PARAMETERS, Range(at_most=10_000_000)),
        Condition(ScoreKind("order"), Range(at_least=0.7)),
    ),
    sort=(Sort(ScoreKind("order"), descending=True),),
    limit=10,
)
UNSCORED = dataclasses.replace(FILTER, conditions=FILTER.conditions[:1], sort=(Sort(Fact.PARAMETERS),))

UNITS = {
    "load": "s",
    "architectures": "s",
    "vectors": "s",
    "neighbour lists": "s",
    "graph": "ms",
    "neighbors": "ms",
    "filter": "ms",
    "filter, no score": "ms",
    "scores64": "ms",
    "nearest": "ms",
}
"""What is measured, in the table's order, and in which unit."""

NAMED = ("load", "graph", "neighbors", "filter", "scores64")
"""What the JSON line holds."""


@dataclass
class Engine:
    """A store of one engine, and the times measured on it so far."""

    name: str
    store: GraphStore
    times: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in UNITS})


@dataclass(frozen=True)
class Effort:
    """How often each request is timed: so often, or for so long; after all of them in turn for ``warm_s`` seconds."""

    requests: int
    seconds: float
    warm_s: float

    def some(self, rows: Sequence[int]) -> Iterator[int]:
        """As many rows as there is time for, at least LEAST."""
        deadline = time.perf_counter() + self.seconds
        for done, row in enumerate(rows):
            if done >= LEAST and time.perf_counter() > deadline:
                return
            yield row


@dataclass(frozen=True)
class Catalogue:
    """What is loaded: architectures by chunks, and what belongs to them once all are there."""

    specs: Sequence[ArchitectureSpec]
    whole: int

    def chunks(self) -> Iterator[list[ArchitectureRecord]]:
        """Records, each architecture once; behind the first ``whole`` of them without operations and edges."""
        seen: set[str] = set()
        for start in range(0, len(self.specs), CHUNK):
            chunk = []
            for spec in self.specs[start : start + CHUNK]:
                record = architecture_record(spec)
                if record.id not in seen:
                    keep = len(seen) < self.whole
                    chunk.append(record if keep else dataclasses.replace(record, ops=(), feeds=()))
                    seen.add(record.id)
            yield chunk

    def vectors(self) -> np.ndarray[Any, Any]:
        """One-hot design choices, centred, on their principal axes: ``[N, 16]`` float32."""
        codes = encode_choices(self.specs)
        hot = np.hstack([codes[:, [column]] == np.unique(codes[:, column]) for column in range(codes.shape[1])])
        hot = hot.astype(np.float32) - hot.mean(axis=0, dtype=np.float32)
        axes = np.linalg.eigh(hot.T @ hot)[1][:, ::-1][:, :DIMENSIONS]
        return (hot @ axes).astype(np.float32)


def _catalogue(size: int | None, whole: int | None) -> Catalogue:
    nano = load_space("nano")
    total = nano.count() if size is None else size
    if total <= nano.count():
        specs = [nano.at(index * nano.count() // total) for index in range(total)]
    else:
        space = load_space("tiny-mini").at_level(layers_per_stack=1, heterogeneous_feed_forward=True)
        specs = list(dict.fromkeys(space.sample(total, np.random.default_rng(0))))
    return Catalogue(specs, len(specs) if whole is None else whole)


def _neighbor_records(ids: Sequence[str], vectors: np.ndarray[Any, Any]) -> list[NeighborRecord]:
    distances, found = KDTree(vectors).query(vectors, k=min(NEIGHBORS + 1, len(ids)))
    records = []
    for row, source in enumerate(ids):
        others = [(value, other) for value, other in zip(distances[row], found[row], strict=True) if other != row]
        for rank, (value, other) in enumerate(others[:NEIGHBORS], start=1):
            records.append(NeighborRecord(source, ids[other], KERNEL, rank, float(value)))
    return records


def _score(architecture: str, task: str, value: float, run: int) -> ScoreRecord:
    return ScoreRecord(architecture, task, "accuracy", value, "benchmark", "full", "none", run, f"benchmark:{run}")


def _load(catalogue: Catalogue, engines: Sequence[Engine]) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Fill every store with the catalogue, each part in turn; only what the stores do is timed."""
    ids: list[str] = []
    parts: dict[str, list[float]] = {engine.name: [0.0, 0.0, 0.0] for engine in engines}
    for engine in engines:
        engine.store.put_space(SpaceRecord(SPACE, {}))
    for chunk in catalogue.chunks():
        ids += [record.id for record in chunk]
        for engine in engines:
            start = time.perf_counter()
            engine.store.add_architectures(SPACE, chunk)
            parts[engine.name][0] += time.perf_counter() - start
    vectors = catalogue.vectors()
    if len(vectors) != len(ids):
        raise RuntimeError(f"architectures must be distinct, but {len(vectors)} specs gave {len(ids)} ids")
    near = _neighbor_records(ids, vectors)
    for engine in engines:
        start = time.perf_counter()
        engine.store.put_embeddings(SPACE, Embeddings(tuple(ids), vectors))
        middle = time.perf_counter()
        engine.store.put_neighbors(SPACE, KERNEL, near)
        parts[engine.name][1:] = [middle - start, time.perf_counter() - middle]
        for name, seconds in zip(("architectures", "vectors", "neighbour lists"), parts[engine.name], strict=True):
            engine.times[name].append(seconds)
        engine.times["load"].append(sum(parts[engine.name]))
    return ids, vectors


def _ask(engine: Engine, ids: Sequence[str], vectors: np.ndarray[Any, Any], effort: Effort) -> list[Any]:
    """Warm up and time every request on its own; returns answers by which engines may be compared."""
    rng = np.random.default_rng(0)
    store = engine.store
    scored = rng.permutation(ids)[:SCORED].tolist()
    values = rng.normal(0.7, 0.1, (len(scored), len(TASKS)))
    store.add_scores(
        [
            _score(id, task, float(value), 0)
            for id, row in zip(scored, values, strict=True)
            for task, value in zip(TASKS, row, strict=True)
        ]
    )
    order = rng.integers(0, len(ids), effort.requests).tolist()
    run = count(1)

    def scores(row: int) -> int:
        number = next(run)
        return store.add_scores([_score(ids[(row + i) % len(ids)], "written", 0.5, number) for i in range(WRITTEN)])

    requests: dict[str, Callable[[int], object]] = {
        "graph": lambda row: store.architecture(ids[row]),
        "neighbors": lambda row: store.neighbors(SPACE, ids[row], KERNEL, NEIGHBORS),
        "filter": lambda _: store.find(FILTER),
        "filter, no score": lambda _: store.find(UNSCORED),
        "nearest": lambda row: store.nearest(SPACE, vectors[row], NEIGHBORS),
        "scores64": scores,
    }
    answers = [request(order[-1]) for name, request in requests.items() if name not in ("nearest", "scores64")]
    # A server compiles what runs often, and what the requests share most of all.
    warm = time.perf_counter() + (effort.warm_s if engine.name == "neo4j" else effort.seconds / 2)
    for row in itertools.cycle(order):
        for request in requests.values():
            request(row)
        if time.perf_counter() > warm:
            break
    for name, request in requests.items():
        for row in effort.some(order):
            start = time.perf_counter()
            request(row)
            engine.times[name].append((time.perf_counter() - start) * 1000.0)
    return answers


@contextlib.contextmanager
def _server(url: str | None, wanted: bool) -> Iterator[str]:
    """URL of an empty server: the one named, or one started for this run."""
    if url is not None or not wanted:
        yield url or ""
        return
    with tempfile.TemporaryDirectory(prefix="archex-benchmark-") as folder:
        server = LocalNeo4j(Path(folder), authenticate=False)
        server.start()
        try:
            yield server.url
        finally:
            server.stop(keep=False)


@contextlib.contextmanager
def _stores(engines: Sequence[str], url: str) -> Iterator[list[Engine]]:
    with tempfile.TemporaryDirectory(prefix="archex-benchmark-") as folder, contextlib.ExitStack() as stack:
        places = {"embedded": f"sqlite:///{Path(folder) / 'benchmark.db'}", "neo4j": url}
        opened = [Engine(name, stack.enter_context(open_store(places[name]))) for name in engines]
        for engine in opened:
            if engine.store.count() or engine.store.spaces():
                raise SystemExit(f"the server must be empty, but {engine.store.url} holds a store. Name another.")
        yield opened


def _table(times: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    yield f"{'median (95th percentile)':28s}" + "".join(f"{name:>24s}" for name in times)
    for name, unit in UNITS.items():
        cells = []
        for measured in times.values():
            late = f"({np.percentile(measured[name], 95):.2f})"
            cells.append(f"{statistics.median(measured[name]):12.2f} {late:>11s}")
        yield f"{name + ', ' + unit:28s}" + "".join(cells)


def _arguments() -> argparse.Namespace:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one load and fewer repetitions, under a minute")
    parser.add_argument("--growth", action="store_true", help=f"one load of {GROWTH:,} architectures")
    parser.add_argument("--engine", choices=ENGINES, help="only this engine")
    parser.add_argument("--architectures", type=int, help="how many; beyond the nano space they are drawn at random")
    parser.add_argument("--operations", type=int, help="only so many architectures keep their operations and edges")
    parser.add_argument("--neo4j-url", help="an empty server to use; what is written stays, and it is loaded once")
    given = parser.parse_args()
    if given.growth and given.architectures is None:
        given.architectures = GROWTH
    return given


def main() -> None:
    # Asked to end, it stops the server it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = _arguments()
    names = [given.engine] if given.engine else list(ENGINES)
    once = given.quick or given.growth or (given.neo4j_url is not None and "neo4j" in names)
    effort = Effort(100, 0.8, 10.0) if given.quick else Effort(1000, 10.0, 30.0)
    times: dict[str, dict[str, list[float]]] = {name: {measure: [] for measure in UNITS} for name in names}
    with ThreadPoolExecutor(1) as pool:
        for _ in range(1 if once else 3):
            with contextlib.ExitStack() as stack:
                # The server takes seconds to come up, in which the architectures are drawn.
                preparing = pool.submit(_catalogue, given.architectures, given.operations)
                url = stack.enter_context(_server(given.neo4j_url, "neo4j" in names))
                engines = stack.enter_context(_stores(names, url))
                catalogue = preparing.result()
                ids, vectors = _load(catalogue, engines)
                answers = [_ask(engine, ids, vectors, effort) for engine in engines]
                for engine in engines:
                    for measure, measured in engine.times.items():
                        times[engine.name][measure] += measured
            if any(answer != answers[0] for answer in answers):
                raise RuntimeError("the engines must give the same answers, but they differ")
    whole = min(catalogue.whole, len(ids))
    print(f"{len(ids):,} architectures, {whole:,} with operations and edges; {1 if once else 3} load(s);")
    timed = f"each request up to {effort.requests} times, or {effort.seconds:.0f} s"
    print(f"{timed}, after {effort.warm_s:.0f} s of all of them to warm up")
    print("\n".join(_table(times)))
    medians = {name: {measure: statistics.median(seen) for measure, seen in of.items()} for name, of in times.items()}
    print(json.dumps({f"{name}_{key}_{UNITS[key]}": round(medians[name][key], 3) for name in names for key in NAMED}))


if __name__ == "__main__":
    run_main(main)
