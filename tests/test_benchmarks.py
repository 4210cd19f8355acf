"""Benchmarks run, at toy size, and end with the figures they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
FIGURES = ("load_s", "graph_ms", "neighbors_ms", "filter_ms", "scores64_ms")


def figures(name: str, *options: str) -> dict[str, float]:
    command = [sys.executable, str(BENCHMARKS / name), *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    last: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return last


def test_store_benchmark_of_one_engine():
    found = figures("store.py", "--quick", "--engine", "embedded", "--architectures", "40", "--operations", "10")
    assert set(found) == {f"embedded_{figure}" for figure in FIGURES}
    assert all(value > 0 for value in found.values())


@pytest.mark.neo4j
@pytest.mark.usefixtures("server")
def test_store_benchmark_of_sqlite_and_neo4j(neo4j_url: str):
    found = figures("store.py", "--quick", "--architectures", "40", "--neo4j-url", neo4j_url)
    assert set(found) == {f"{engine}_{figure}" for engine in ("embedded", "neo4j") for figure in FIGURES}
    assert all(value > 0 for value in found.values())
