"""Benchmarks run, at toy size, and end with the figures they promise."""

from __future__ import annotations

import pytest

FIGURES = ("load_s", "graph_ms", "neighbors_ms", "filter_ms", "scores64_ms")


def test_store_benchmark_of_one_engine(figures):
    found = figures("store", "--quick", "--engine", "embedded", "--architectures", 40, "--operations", 10)
    assert set(found) == {f"embedded_{figure}" for figure in FIGURES}
    assert all(value > 0 for value in found.values())


@pytest.mark.neo4j
@pytest.mark.usefixtures("server")
def test_store_benchmark_of_sqlite_and_neo4j(figures, neo4j_url: str):
    found = figures("store", "--quick", "--architectures", 40, "--neo4j-url", neo4j_url)
    assert set(found) == {f"{engine}_{figure}" for engine in ("embedded", "neo4j") for figure in FIGURES}
    assert all(value > 0 for value in found.values())
