"""The benchmark of the kernels runs, at toy size, and ends with the figures it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "kernels.py"


def figures(*options):
    run = subprocess.run([sys.executable, str(BENCHMARK), *options], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
def test_side_by_side():
    found = figures("--quick", "--graphs", "10", "--repeats", "1")
    assert set(found) == {"library_s", "time_ratio", "wall_ratio", "memory_ratio", "max_abs_difference"}
    assert found["max_abs_difference"] < 1e-12
    assert min(found["time_ratio"], found["memory_ratio"], found["library_s"]) > 0


def test_large():
    found = figures("--large", "--graphs", "300")
    assert set(found) == {"seconds", "peak_mb"}
    assert all(value > 0 for value in found.values())
