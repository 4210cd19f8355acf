"""Latency of SuperShaper's shapes on this machine: does the shape matter where the number of parameters is the same?

Run ``uv run python benchmarks/shape_latency.py --data ../shared/data``, or with ``--quick``. Shapes are drawn from the
published table, spread over its range of parameters, and built as they would be used: BERT-Base's backbone, bottlenecks
merged, float32, one thread, one sequence of 128 tokens. They are timed in rounds, one run of every shape after the
other, so that what else the machine does falls on all of them alike; a shape's latency is the median over rounds.

What is left of the logarithm beside a straight line over the number of FLOPs or parameters is noise if it differs from
round to round, and due to the shape if it comes again: its covariance between odd and even rounds, as a share of its
variance, says how much. The last line is one JSON object: ``rest_percent`` (standard deviation of what is left at equal
parameters), ``due_to_shape`` (that share), ``rank_correlation`` with the parameters, and with each published machine,
overall and of what is left.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from explorer.cli.bench import OptionParser, run_main
from explorer.measure.building import build
from explorer.models import FlexiBertModel, config_for
from explorer.space.backbones import shape_spec
from explorer.supershaper.shapes.grid import ShapeGrid
from explorer.supershaper.shapes.tables import read_shapes

Array = NDArray[np.float64]
LENGTH, VOCABULARY = 128, 28_996


def timed(shapes: NDArray[np.int64], rounds: int) -> Array:
    """Seconds of one forward pass of every shape in every round, ``[rounds, shapes]``."""
    models = [
        build(
            FlexiBertModel,
            config_for(shape_spec(shape.tolist()), vocab_size=VOCABULARY, merged_bottlenecks=True),
            "cpu",
            add_pooling_layer=False,
        ).eval()
        for shape in shapes
    ]
    ids = torch.randint(VOCABULARY, (1, LENGTH), generator=torch.Generator().manual_seed(0))
    seconds = np.zeros((rounds + 1, len(models)))
    order = np.random.default_rng(0)
    with torch.inference_mode():
        for number in range(rounds + 1):
            for place in order.permutation(len(models)):
                start = time.perf_counter()
                models[place](ids)
                seconds[number, place] = time.perf_counter() - start
    return seconds[1:]  # the first round warms up


def left(log_seconds: Array, size: Array) -> Array:
    """What a straight line over the logarithm of a size leaves of the logarithms of seconds."""
    x = np.log(size)
    return log_seconds - np.polyval(np.polyfit(x, log_seconds, 1), x)


def main() -> None:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with architectures/")
    parser.add_argument("--shapes", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--quick", action="store_true", help="10 shapes, 6 rounds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    count, rounds = (10, 6) if options.quick else (options.shapes, options.rounds)
    grid = ShapeGrid()
    table = read_shapes(options.data / "architectures" / "supershaper" / "shapes_700.csv", grid)
    complete = [row for row in range(len(table.shapes)) if all(np.isfinite(v[row]) for v in table.latency.values())]
    by_size = sorted(complete, key=lambda row: grid.parameters(table.shapes[[row]])[0])
    chosen = [by_size[place] for place in np.linspace(0, len(by_size) - 1, count).round().astype(int)]
    shapes = table.shapes[chosen]
    parameters = grid.parameters(shapes).astype(float)
    seconds = timed(shapes, rounds)
    log = np.log(np.median(seconds, axis=0))
    halves = [left(np.log(np.median(seconds[first::2], axis=0)), parameters) for first in (0, 1)]
    rest = left(log, parameters)
    covariance = float(np.mean((halves[0] - halves[0].mean()) * (halves[1] - halves[1].mean())))
    figures = {
        "shapes": count,
        "median_ms": float(1000 * np.exp(np.median(log))),
        "rest_percent": float(100 * rest.std()),
        "due_to_shape": covariance / float(np.sqrt(halves[0].var() * halves[1].var())),
        "rank_correlation": float(spearmanr(log, parameters).statistic),
    }
    print("| machine | rank correlation with this one | at equal parameters |\n|---|---|---|")
    for device, latency in table.latency.items():
        theirs = np.log(latency[chosen])
        overall = float(spearmanr(log, theirs).statistic)
        equal = float(spearmanr(rest, left(theirs, parameters)).statistic)
        print(f"| {device} | {overall:.3f} | {equal:.2f} |")
        figures |= {f"with_{device}": overall, f"with_{device}_at_equal_parameters": equal}
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    run_main(main)
