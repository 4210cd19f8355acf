"""The benchmark of the kernels runs, at toy size, and ends with the figures it promises."""

import pytest


@pytest.mark.slow
def test_side_by_side(figures):
    found = figures("kernels", "--quick", "--graphs", 10, "--repeats", 1)
    assert set(found) == {"library_s", "time_ratio", "wall_ratio", "memory_ratio", "max_abs_difference"}
    assert found["max_abs_difference"] < 1e-12
    assert min(found["time_ratio"], found["memory_ratio"], found["library_s"]) > 0


def test_large(figures):
    found = figures("kernels", "--large", "--graphs", 300)
    assert set(found) == {"seconds", "peak_mb"}
    assert all(value > 0 for value in found.values())
