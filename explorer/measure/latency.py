"""Latency of one forward pass, in seconds of a wall clock.

Each run is timed separately, after warm-up runs that fill caches, build matrices and raise clock rates. On a GPU the
device is synchronised before and after each run. The median is the estimate; the higher percentiles show its spread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from explorer.errors import InputError
from explorer.measure.building import build, configuration, for_inference, tokens
from explorer.measure.machine import check_threads
from explorer.measure.settings import Load
from explorer.models import FlexiBertModel
from explorer.space.spec import ArchitectureSpec

Clock = Callable[[], float]
MOST_RUNS = 100_000


@dataclass(frozen=True)
class Latency:
    """Summary of n timed forward passes, in seconds.

    Attributes:
        p50, p90, p95: percentiles, linearly interpolated.
        mean: their mean.
        fastest: the shortest.
        runs: n.
        warm_up: untimed runs before them.
    """

    p50: float
    p90: float
    p95: float
    mean: float
    fastest: float
    runs: int
    warm_up: int

    @classmethod
    def of(cls, seconds: Sequence[float], warm_up: int) -> Latency:
        """Summarise the seconds of at least one run."""
        p50, p90, p95 = (float(value) for value in np.percentile(seconds, (50, 90, 95)))
        return cls(p50, p90, p95, float(np.mean(seconds)), min(seconds), len(seconds), warm_up)


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Set torch's number of threads inside the block and restore the previous number."""
    check_threads(threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def time_runs(
    run: Callable[[], object], repeats: int, warm_up: int, wait: Callable[[], object], clock: Clock
) -> Latency:
    """Time a function.

    Args:
        run: the function.
        repeats: timed runs, at least 1.
        warm_up: runs before them, at least 0.
        wait: returns once the device has finished all its work.
        clock: seconds since an arbitrary moment.

    Raises:
        InputError: a number is out of range.
    """
    for name, value, least in (("repeats", repeats, 1), ("warm_up", warm_up, 0)):
        if not least <= value <= MOST_RUNS:
            raise InputError(name, f"be from {least} to {MOST_RUNS:,}", value, "Use for example 30.")
    for _ in range(warm_up):
        run()
    seconds = []
    for _ in range(repeats):
        wait()
        start = clock()
        run()
        wait()
        seconds.append(clock() - start)
    return Latency.of(seconds, warm_up)


def measure_latency(
    spec: ArchitectureSpec,
    load: Load,
    device: torch.device,
    threads: int = 1,
    repeats: int = 30,
    warm_up: int = 5,
    clock: Clock = time.perf_counter,
) -> Latency:
    """Time the encoder's forward pass over one batch without padding, in inference mode.

    Args:
        spec: the architecture.
        load: batch, length, precision and vocabulary.
        device: the device to run on.
        threads: threads of one operation, on a processor.
        repeats: timed runs.
        warm_up: runs before them.
        clock: seconds since an arbitrary moment.

    Raises:
        InputError: a number is out of range.
    """
    wait = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)
    with limited_threads(threads), torch.inference_mode():
        config = configuration(spec, load)
        model = for_inference(build(FlexiBertModel, config, device, add_pooling_layer=False), load.precision)
        ids = tokens(load, device)
        return time_runs(lambda: model(ids), repeats, warm_up, wait, clock)
