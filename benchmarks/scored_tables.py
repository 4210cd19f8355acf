"""Scored architectures to compare methods on: published tables, and a random function that needs no data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from explorer.documents.separated import read_separated
from explorer.errors import DataError
from explorer.similarity.graph import build_graph
from explorer.similarity.registry import kernel_named
from explorer.space.grammar import load_space
from explorer.space.imports.nas_bench_bert import find_nas_bench_bert
from explorer.space.spec import ArchitectureSpec, LayerSpec

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Architectures and what they scored, larger is better; equal architectures are averaged."""

    specs: list[ArchitectureSpec]
    scores: Array


def nas_bench_bert(data: Path, task: str) -> Table:
    scored: dict[ArchitectureSpec, list[float]] = {}
    for _, row in find_nas_bench_bert(data / "architectures" / "nas_bench_bert" / "BERT_benchmark.json").valid:
        for score in row.scores:
            if score.task == task:
                scored.setdefault(row.architecture, []).append(score.value)
    return Table(list(scored), np.array([np.mean(values) for values in scored.values()]))


def shape_rows(data: Path) -> list[dict[str, str]]:
    """Cells of the published table of shapes, by column."""
    rows = []
    for line, row in read_separated(data / "architectures" / "supershaper" / "shapes_700.csv").rows():
        if isinstance(row, DataError):
            raise row.at(f"shapes_700.csv, line {line}")
        rows.append(row)
    return rows


def supershaper(data: Path) -> Table:
    specs, rows = [], shape_rows(data)
    for row in rows:
        widths = [int(row[f"h{layer}"]) for layer in range(1, 13)]
        specs.append(ArchitectureSpec(tuple(LayerSpec.per_layer(w, "sa", "sdp", 12, (4 * w,)) for w in widths)))
    return Table(specs, -np.array([float(row["perplexity"]) for row in rows]))


def synthetic(count: int = 400, seed: int = 0, noise: float = 0.3) -> Table:
    """A draw of a Gaussian process over ``count`` architectures of the nano space.

    It is smooth in the graph kernel's vectors, with variance 1, and has independent noise of deviation ``noise``.
    """
    generator = np.random.default_rng(seed)
    specs = list(dict.fromkeys(load_space("nano").sample(2 * count, generator)))[:count]
    vectors = kernel_named("views").fit([build_graph(spec) for spec in specs]).vectors
    distances = cdist(vectors, vectors)
    covariance = np.exp(-((distances / np.median(distances)) ** 2)) + noise**2 * np.eye(len(specs))
    return Table(specs, np.linalg.cholesky(covariance) @ generator.normal(size=len(specs)))
