"""All pairs of a library by Weisfeiler-Lehman, our sparse blocks next to GraKeL; the other kernels pair by pair.

``uv run python benchmarks/kernels.py``: all 9,312 architectures of the tiny-mini space, 43.4 million pairs (2 minutes,
11 GB for GraKeL). ``--quick``: 6,000 of them, under a minute. ``--large``: instead, 100,000
architectures of the finest tiny-mini space and the 50 nearest of each, out of 5 billion pairs, within 4 GB.

Both sides run in processes of their own, one after the other, each with one thread of linear algebra. Time is that of
the kernel from the graphs on; memory is the peak of the whole process as the operating system counts it, Python and the
graphs included. The last line is one JSON object: ``time_ratio`` (ours over GraKeL's processor time, which other work
on the machine disturbs least), ``wall_ratio`` (by the clock), ``memory_ratio``, ``max_abs_difference`` (over all pairs)
and ``library_s`` (graphs and hashes of the library); with ``--large`` ``seconds`` and ``peak_mb``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from explorer.cli.bench import OptionParser, run_main
from explorer.similarity.graph import ArchitectureGraph, build_graph, graph_hash
from explorer.similarity.neighborhood_hash import NeighborhoodHash
from explorer.similarity.pairs import PairKernel
from explorer.similarity.random_walk import RandomWalk
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.grammar import load_space
from rivals.edit_distance import EditDistanceUpperBound

ITERATIONS = 5
SPACE = "tiny-mini"
NEAREST, LARGE = 50, 100_000
Side = Callable[[tuple[ArchitectureGraph, ...]], object]


def _graphs(count: int) -> list[ArchitectureGraph]:
    """Architectures at equal distances over the space's index, all of them for its full count."""
    space = load_space(SPACE)
    return [build_graph(space.at(index * space.count() // count)) for index in range(count)]


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _ours(graphs: Sequence[ArchitectureGraph]) -> None:
    for _ in WeisfeilerLehman(ITERATIONS).fit(graphs).blocks():
        pass


def _import_grakel() -> Any:
    """GraKeL, whose import takes seconds that are not part of any time here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import grakel
    return grakel


def _grakel(graphs: Sequence[ArchitectureGraph], name: str, **options: Any) -> np.ndarray[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grakel = _import_grakel()
        converted = []
        for graph in graphs:
            edges: dict[int, dict[int, float]] = {node: {} for node in range(len(graph))}
            for source, target in graph.edges:
                edges[source][target] = 1.0
            converted.append(grakel.Graph(edges, node_labels=dict(enumerate(graph.labels))))
        gram: np.ndarray[Any, Any] = getattr(grakel.kernels, name)(normalize=True, **options).fit_transform(converted)
    return gram


def _measure(side: str, count: int, result: str, pipe: Connection) -> None:
    graphs = _graphs(count)
    if side == "grakel":
        _import_grakel()
    wall, processor = time.perf_counter(), time.process_time()
    gram = None
    with threadpool_limits(1):
        if side == "ours":
            _ours(graphs)
        else:
            gram = _grakel(graphs, "WeisfeilerLehman", n_iter=ITERATIONS)
    pipe.send((time.process_time() - processor, time.perf_counter() - wall, _peak_mb()))
    if gram is not None:
        np.save(result, gram)


def _child(side: str, count: int, result: str) -> tuple[float, float, float]:
    """Processor seconds of all threads, seconds on the clock, and the peak of the child's memory in MB."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(side, count, result, send))
    process.start()
    send.close()
    try:
        found: tuple[float, float, float] = receive.recv()
    except EOFError:
        process.join()
        raise SystemExit(f"the process of {side} ended with {process.exitcode}, probably out of memory") from None
    process.join()
    return found


def _difference(count: int, result: str) -> float:
    """Largest difference of the dissimilarities of all pairs."""
    theirs = np.load(result, mmap_mode="r")
    largest = 0.0
    for start, block in WeisfeilerLehman(ITERATIONS).fit(_graphs(count)).blocks():
        other = 1.0 - theirs[start : start + len(block)]
        here = np.arange(len(block))
        other[here, start + here] = 0.0
        largest = max(largest, float(np.abs(block - other).max()))
    return largest


def library_seconds() -> tuple[float, float]:
    """From the grammar to the graphs and hashes of the whole space: by the clock, and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    for spec in load_space(SPACE):
        graph_hash(build_graph(spec))
    return time.perf_counter() - wall, time.process_time() - processor


def side_by_side(count: int, repeats: int) -> dict[str, float]:
    """Both ways to all pairs of ``count`` graphs: GraKeL's once, ours, as it is short, ``repeats`` times."""
    figures: dict[str, list[tuple[float, float, float]]] = {"ours": [], "grakel": []}
    with tempfile.TemporaryDirectory() as folder:
        result = str(Path(folder) / "gram.npy")
        figures["grakel"].append(_child("grakel", count, result))
        for _ in range(repeats):
            figures["ours"].append(_child("ours", count, result))
        difference = _difference(count, result)
    print(
        f"{count:,} graphs of {SPACE}, {count * (count - 1) // 2:,} pairs, Weisfeiler-Lehman, {ITERATIONS} iterations"
    )
    medians = {
        side: [statistics.median(column) for column in zip(*runs, strict=True)] for side, runs in figures.items()
    }
    for side, (processor, wall, megabytes) in medians.items():
        runs = len(figures[side])
        print(f"{side:>8}: {processor:8.2f} s processor, {wall:8.2f} s clock, {megabytes:8.0f} MB  (median of {runs})")
    time_ratio, wall_ratio, memory_ratio = (
        ours / theirs for ours, theirs in zip(medians["ours"], medians["grakel"], strict=True)
    )
    return {
        "time_ratio": time_ratio,
        "wall_ratio": wall_ratio,
        "memory_ratio": memory_ratio,
        "max_abs_difference": difference,
    }


def _edit_distances(graphs: Sequence[ArchitectureGraph]) -> None:
    import networkx as nx

    networks = [graph.to_networkx() for graph in graphs]
    for row, first in enumerate(networks):
        for second in networks[row:]:
            next(nx.optimize_graph_edit_distance(first, second, lambda one, two: one["label"] == two["label"]))


def pair_by_pair(few: int, many: int, tiny: int) -> None:
    """Each kernel on a few graphs next to the library it is compared with, in processor milliseconds a pair."""

    def compared(kernel: PairKernel) -> Side:
        return lambda graphs: kernel.compare(graphs, graphs)

    sides: dict[str, tuple[int, Side, str, Side]] = {
        "wl": (many, _ours, "GraKeL", lambda graphs: _grakel(graphs, "WeisfeilerLehman", n_iter=ITERATIONS)),
        "neighborhood_hash": (
            many,
            compared(NeighborhoodHash()),
            "GraKeL, count-sensitive",
            lambda graphs: _grakel(graphs, "NeighborhoodHash", R=3, nh_type="count_sensitive", bits=16, random_state=0),
        ),
        "random_walk": (
            few,
            compared(RandomWalk()),
            "GraKeL, fast (approximate)",
            lambda graphs: _grakel(graphs, "RandomWalkLabeled", lamda=0.1),
        ),
        "edit_distance_upper_bound": (
            tiny,
            compared(EditDistanceUpperBound()),
            "networkx, first approximation",
            _edit_distances,
        ),
    }
    _import_grakel()
    for name, (count, ours, label, theirs) in sides.items():
        graphs = tuple(_graphs(count))
        pairs = count * (count + 1) / 2
        figures = []
        for run in (ours, theirs):
            start = time.process_time()
            with threadpool_limits(1):
                run(graphs)
            figures.append(1000 * (time.process_time() - start) / pairs)
        print(f"{name:>26}: {figures[0]:9.5f} ms a pair; {label}: {figures[1]:9.5f} ms ({count} graphs)")


def large(count: int) -> dict[str, float]:
    """The nearest of each of many architectures, a block of rows at a time."""
    start, processor = time.perf_counter(), time.process_time()
    rng = np.random.default_rng(0)
    space = load_space(SPACE).at_level(1, True)
    specs = list(dict.fromkeys(space.sample(count + count // 100 + 1, rng)))[:count]
    graphs = [build_graph(spec) for spec in specs]
    del specs
    kernel = WeisfeilerLehman(ITERATIONS).fit(graphs)
    labels = len(kernel.groups)
    ready_s = time.perf_counter() - start
    # With one block at a time, a second thread of linear algebra costs more than it saves.
    with threadpool_limits(1):
        _, values = kernel.neighbors(NEAREST)
    seconds = time.perf_counter() - start
    pairs = count * (count - 1) // 2
    print(f"{count:,} architectures of {SPACE} at its finest level, {labels:,} labels, {pairs:,} pairs")
    print(f"graphs and counts {ready_s:.1f} s, pairs {seconds - ready_s:.1f} s")
    print(f"{seconds:.1f} s clock, {time.process_time() - processor:.1f} s processor, {_peak_mb():.0f} MB peak")
    print(
        f"mean dissimilarity of the nearest {values[:, 0].mean():.4f}, of number {NEAREST} {values[:, -1].mean():.4f}"
    )
    return {"seconds": seconds, "peak_mb": _peak_mb()}


def main() -> None:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="6,000 graphs instead of 9,312, few pairs of the others")
    parser.add_argument("--large", action="store_true", help="100,000 architectures, top 50 only (10,000 with --quick)")
    parser.add_argument("--graphs", type=int, help="another number of graphs, at most 9,312 without --large")
    parser.add_argument("--repeats", type=int, default=3, help="runs of our side")
    options = parser.parse_args()
    quick: bool = options.quick
    if options.large:
        figures = large(options.graphs or (10_000 if quick else LARGE))
    else:
        wall, processor = library_seconds()
        figures = {"library_s": wall}
        print(f"graphs and hashes of {SPACE}: {wall:.2f} s clock, {processor:.2f} s processor")
        few, many, tiny = (12, 200, 8) if quick else (40, 1000, 24)
        pair_by_pair(*(min(number, options.graphs or number) for number in (few, many, tiny)))
        figures |= side_by_side(options.graphs or (6_000 if quick else 9_312), 1 if quick else options.repeats)
    print(json.dumps(figures))


if __name__ == "__main__":
    run_main(main)
