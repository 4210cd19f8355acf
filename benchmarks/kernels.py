"""All pairs of a library by Weisfeiler-Lehman: our sparse, blocked path beside GraKeL, on the same graphs.

Run ``uv run python benchmarks/kernels.py`` (9,312 graphs, a minute and 10 GB) or with ``--quick`` (1,500 graphs). Each
side runs in a process of its own, several times in turn; medians are printed, then one JSON line:
``time_ratio`` and ``memory_ratio`` (ours over GraKeL's), ``max_abs_difference`` (on a block of both results).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import time
import warnings
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from explorer.graphs import ArchitectureGraph, build_graph
from explorer.kernels.weisfeiler_lehman import WeisfeilerLehman, dissimilarity_blocks
from explorer.space.grammar import load_space

ITERATIONS = 5
SHOWN = 200


def _graphs(count: int) -> list[ArchitectureGraph]:
    space = load_space("nano")
    step = space.count() // count
    return [build_graph(space.at(index * step)) for index in range(count)]


def _ours(graphs: list[ArchitectureGraph]) -> np.ndarray[Any, Any]:
    shown = np.empty((0, len(graphs)))
    for start, block in dissimilarity_blocks(WeisfeilerLehman(ITERATIONS).features(graphs)):
        if start == 0:
            shown = block[:SHOWN].copy()
    return shown


def _grakel(graphs: list[ArchitectureGraph]) -> np.ndarray[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from grakel import Graph
        from grakel.kernels import VertexHistogram
        from grakel.kernels import WeisfeilerLehman as Reference

        converted = []
        for graph in graphs:
            edges: dict[int, dict[int, float]] = {node: {} for node in range(len(graph))}
            for source, target in graph.edges:
                edges[source][target] = 1.0
            converted.append(Graph(edges, node_labels=dict(enumerate(graph.labels))))
        kernel = Reference(n_iter=ITERATIONS, base_graph_kernel=VertexHistogram, normalize=True)
        gram = kernel.fit_transform(converted)
    return 1.0 - gram[:SHOWN]


def _measure(side: str, count: int, pipe: Connection) -> None:
    graphs = _graphs(count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    shown = (_ours if side == "ours" else _grakel)(graphs)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((seconds, (peak - before) / 1024, shown))


def _run(side: str, count: int) -> tuple[float, float, np.ndarray[Any, Any]]:
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(side, count, send))
    process.start()
    result: tuple[float, float, np.ndarray[Any, Any]] = receive.recv()
    process.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,500 graphs instead of 9,312")
    quick = parser.parse_args().quick
    count, repeats = (1_500, 3) if quick else (9_312, 3)
    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "grakel": []}
    shown: dict[str, np.ndarray[Any, Any]] = {}
    for _ in range(repeats):
        for side, seen in figures.items():
            seconds, megabytes, shown[side] = _run(side, count)
            seen.append((seconds, megabytes))
    medians = {
        side: [statistics.median(column) for column in zip(*seen, strict=True)] for side, seen in figures.items()
    }
    print(f"{count:,} graphs, {count * (count - 1) // 2:,} pairs, medians of {repeats} runs")
    for side, (seconds, megabytes) in medians.items():
        print(f"{side:>8}: {seconds:7.2f} s {megabytes:9.0f} MB")
    here = np.arange(len(shown["grakel"]))
    shown["grakel"][here, here] = 0.0
    difference = float(np.abs(shown["ours"] - shown["grakel"]).max())
    ratios = {
        "time_ratio": medians["ours"][0] / medians["grakel"][0],
        "memory_ratio": medians["ours"][1] / medians["grakel"][1],
        "max_abs_difference": difference,
    }
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
