"""How well device tables are learned, and how well FLOPs are counted by formula.

1. Device tables: for every device and quantity, rows are held out, each once a split (5 folds), and predicted from the
   others by ``explorer.measure.predictor``; reported are the mean over splits of Spearman's rank correlation and of the
   relative error, and how many true values lie within the error bar. Rivals in the same folds: FLOPs by themselves,
   each way to predict by itself, and, for latencies in one split, the multi-view kernel regression of the surrogate.
   Tables: EdgeTran (latency, energy, peak power on seven devices) and SuperShaper's shapes (latency on three machines).
2. FLOPs: the formula against torch's counter on models built from random architectures of the tables and presets.

Run from the repository: ``python benchmarks/measurement.py --data ../shared/data``. The last line is one JSON object:
the worst rank correlation over devices and the largest relative error of the formula.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from explorer.cli.bench import OptionParser, run_main
from explorer.measure.amounts import SIZES, amounts
from explorer.measure.counting import count_flops
from explorer.measure.predictor import FOLDS, DevicePredictor, all_held_out
from explorer.measure.settings import Load
from explorer.measure.size import flops
from explorer.similarity.graph import build_graph
from explorer.similarity.multi_view import MultiViewKernel
from explorer.space.grammar import load_space
from explorer.space.imports.edgetran import find_edgetran
from explorer.space.spec import ArchitectureSpec, Family, LayerSpec
from explorer.surrogate.kernel_regression import KernelRegression
from scored_tables import shape_rows

Array = NDArray[np.float64]
OURS = "chosen"
FEW = 50
"""Devices with fewer rows are reported, but one held-out fold of them says little."""
SHAPES = {"1080ti_bs128_s": "1080 Ti, batch 128", "ryzen_s": "Ryzen", "gcp_xeon2core_bs1_s": "Xeon, 2 cores"}


@dataclass(frozen=True)
class Table:
    """What a device measured of one quantity."""

    device: str
    quantity: str
    specs: list[ArchitectureSpec]
    values: Array


def edgetran(data: Path) -> list[Table]:
    found: dict[tuple[str, str], list[tuple[ArchitectureSpec, float]]] = {}
    for _, row in find_edgetran(data / "architectures" / "edgetran" / "codesign_dataset.json").valid:
        assert isinstance(row.architecture, ArchitectureSpec)
        for one in row.measurements:
            found.setdefault((one.device, one.quantity), []).append((row.architecture, one.value))
    return [
        Table(*key, [spec for spec, _ in rows], np.array([value for _, value in rows]))
        for key, rows in sorted(found.items())
    ]


def supershaper(data: Path) -> list[Table]:
    tables, rows = [], shape_rows(data)
    for column, device in SHAPES.items():
        timed = [row for row in rows if row[column].strip()]
        widths = [[int(row[f"h{layer}"]) for layer in range(1, 13)] for row in timed]
        specs = [
            ArchitectureSpec(tuple(LayerSpec.per_layer(w, "sa", "sdp", 12, (4 * w,)) for w in shape))
            for shape in widths
        ]
        tables.append(Table(device, "latency", specs, np.array([float(row[column]) for row in timed])))
    return tables


def folds(count: int, split: int) -> NDArray[np.int64]:
    return np.random.default_rng(split).permutation(count) % min(FOLDS, count)


def by_kernel(table: Table, split: int) -> Array:
    """Held-out logarithms by the surrogate's kernel regression."""
    graphs = [build_graph(spec) for spec in table.specs]
    distances = MultiViewKernel().fit(graphs).squared_distances(graphs)
    logs, fold = np.log(table.values), folds(len(graphs), split)
    predicted = np.empty(len(graphs))
    for one in range(int(fold.max()) + 1):
        inside = fold == one
        model = KernelRegression().fit(distances[np.ix_(~inside, ~inside)], logs[~inside])
        predicted[inside] = model.predict(distances[np.ix_(inside, ~inside)]).mean
    return predicted


def by_predictor(table: Table, split: int) -> tuple[Array, Array]:
    """Held-out logarithms by the predictor, which chooses its way on the other rows, and the spreads it claims."""
    fold = folds(len(table.specs), split)
    predicted, spread = np.empty(len(fold)), np.empty(len(fold))
    for one in range(int(fold.max()) + 1):
        inside = fold == one
        learned = DevicePredictor.fit(
            [s for s, i in zip(table.specs, inside, strict=True) if not i], table.values[~inside]
        )
        estimates = learned.predict([s for s, i in zip(table.specs, inside, strict=True) if i])
        predicted[inside] = np.log([estimate.value for estimate in estimates])
        spread[inside] = learned.spread
    return predicted, spread


def evaluate(table: Table, splits: int, rivals: bool, kernel: bool) -> dict[str, float]:
    """Mean rank correlation of each method; error and coverage of ours."""
    rows, logs = amounts(table.specs), np.log(table.values)
    found: dict[str, list[float]] = {"flops_alone": [float(spearmanr(rows[:, SIZES.index("flops")], logs).statistic)]}
    for split in range(splits):
        ours, spread = by_predictor(table, split)
        predicted = {OURS: ours}
        if rivals:
            predicted |= all_held_out(rows, logs, split)
        if kernel and split == 0:
            predicted["kernel"] = by_kernel(table, split)
        for name, values in predicted.items():
            found.setdefault(name, []).append(float(spearmanr(values, logs).statistic) if np.ptp(values) > 0 else 0.0)
        found.setdefault("error", []).append(float(np.sqrt(np.square(ours - logs).mean())))
        found.setdefault("covered", []).append(float((np.abs(ours - logs) <= spread).mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def formula_errors(specs: list[ArchitectureSpec], length: int) -> dict[str, float]:
    """Largest relative error of the formula over architectures, by the families of their heads."""
    errors: dict[str, float] = {}
    for spec in specs:
        counted = count_flops(spec, Load(length=length)).forward
        heads = {head for layer in spec.layers for head in layer.heads}
        cosine = any(head.parameter == "dct" for head in heads)
        convolution = any(head.family is Family.CONVOLUTION for head in heads)
        kind = " + ".join(["attention, Fourier", *["cosine"] * cosine, *["convolution"] * convolution])
        errors[kind] = max(errors.get(kind, 0.0), abs(flops(spec, length) / counted - 1.0))
    return errors


def main() -> None:
    parser = OptionParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with architectures/")
    parser.add_argument("--splits", type=int, default=2, help="random splits, each of 5 folds")
    parser.add_argument("--quick", action="store_true", help="1 split of EdgeTran's latencies, no rivals")
    options = parser.parse_args()
    tables = edgetran(options.data)
    sample = [spec for name in ("nano", "tiny-mini") for spec in _sampled(name, 4 if options.quick else 15)]
    if options.quick:
        tables = [table for table in tables if table.quantity == "latency"]
    else:
        tables += supershaper(options.data)
    results = []
    columns = ("rows", "flops_alone", "flops", "additive", "trees", "mean", "kernel", OURS, "error", "covered")
    print("| device | quantity | " + " | ".join(columns) + " |")
    print("|" + "---|" * (len(columns) + 2))
    for table in tables:
        kernel = table.quantity == "latency" and not options.quick
        found = evaluate(table, 1 if options.quick else options.splits, not options.quick, kernel)
        results.append((table, found))
        shown = [f"{found[name]:.3f}" if name in found else "" for name in columns[1:]]
        print(f"| {table.device} | {table.quantity} | {len(table.specs)} | " + " | ".join(shown) + " |", flush=True)
    errors = {length: formula_errors(sample, length) for length in ((128,) if options.quick else (64, 128, 512))}
    for length, found in errors.items():
        for kind, error in sorted(found.items()):
            print(f"formula of FLOPs, length {length}, heads {kind}: largest relative error {error:.2%}")
    document: dict[str, float] = {}
    for quantity in sorted({table.quantity for table, _ in results}):
        named = [(table, found[OURS]) for table, found in results if table.quantity == quantity]
        document[f"{quantity}_rank_correlation_min"] = min(value for _, value in named)
        many = [value for table, value in named if len(table.specs) >= FEW]
        document[f"{quantity}_rank_correlation_min_of_{FEW}_rows"] = min(many)
        document[f"{quantity}_rank_correlation_median"] = float(np.median([value for _, value in named]))
    document["covered_mean"] = float(np.mean([found["covered"] for _, found in results]))
    document["flops_formula_max_error"] = max(error for found in errors.values() for error in found.values())
    exact = [error for found in errors.values() for kind, error in found.items() if kind == "attention, Fourier"]
    document["flops_formula_max_error_attention_fourier"] = max(exact, default=math.nan)
    print(json.dumps({name: round(value, 6) for name, value in document.items()}))


def _sampled(name: str, count: int) -> list[ArchitectureSpec]:
    return load_space(name).sample(count, np.random.default_rng(0))


if __name__ == "__main__":
    run_main(main)
