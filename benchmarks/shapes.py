"""How well shapes' perplexities and latencies are predicted, what good shapes look like, and whether devices matter.

1. Predictors: trained on 500 of the table's shapes, tested on the other 200, several random splits: rank correlation
   (Spearman), coverage and width of the 95 % intervals, which layers matter.
2. Kinds of shapes at equal parameters: searched, by the rule, the paper's comparisons, random ones; predicted by the
   Gaussian process fitted to all rows, and, as a check, by the boosted trees.
3. Devices: what the variance of each machine's latency is due to; rank correlations of machines.

Run from the repository: ``python benchmarks/shapes.py --data ../shared/data``. ``--pictures FOLDER`` draws the figures.
The last line is one JSON object.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from explorer.cli.bench import OptionParser, run_main
from explorer.supershaper.shapes.devices import beyond_parameters, device_agreement, variance_shares
from explorer.supershaper.shapes.evolution import EvolutionSettings, Limit, Quantity, search_shapes
from explorer.supershaper.shapes.grid import Array, ShapeGrid, Shapes
from explorer.supershaper.shapes.heuristics import TOLERANCE, ShapeFamily, generate, random_shapes
from explorer.supershaper.shapes.importance import layer_importance, width_effects
from explorer.supershaper.shapes.predictors import PREDICTORS, LatencyPredictor, PerplexityPredictor
from explorer.supershaper.shapes.tables import ShapeTable, read_shapes

TRAINED, RANDOM = 500, 200
BUDGETS = (45e6, 55e6, 63e6, 75e6, 90e6)
DERIVED_FROM = tuple(float(budget) for budget in np.arange(45e6, 91e6, 5e6))
PAPER = (360, 120, 120, 120, 360, 360, 360, 360, 360, 360, 540, 540)
"""A shape that the paper made by hand, 55.15 M parameters merged."""
NEAR_BEST = 1.01
"""Shapes within 1 % of the best perplexity define what good shapes have in common."""
PAPER_SEARCHED = (480, 240, 360, 240, 540, 480, 360, 360, 360, 360, 540, 480)
Figures = dict[str, float]


def predictors(table: ShapeTable, splits: int, rows: list[pd.DataFrame]) -> Figures:
    """Held-out accuracy of both predictors; appends the importance of layers in the first split to ``rows``."""
    shapes, perplexity = table.scored
    found: dict[str, list[tuple[float, ...]]] = {}
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(shapes))
        inside, outside = order[:TRAINED], order[TRAINED:]
        for name, make in PREDICTORS.items():
            begin = time.perf_counter()
            learned = make(split).fit(shapes[inside], perplexity[inside])
            seconds = time.perf_counter() - begin
            told, true = learned.predict(shapes[outside]), perplexity[outside]
            figures = (
                float(spearmanr(told.value, true).statistic),
                float(np.mean((told.low <= true) & (true <= told.high))),
                float(np.mean(np.log(told.high / told.low))),
                float(np.sqrt(np.mean(np.square(np.log(told.value / true))))),
                seconds,
            )
            found.setdefault(name, []).append(figures)
            if split == 0:
                matter = layer_importance(learned, shapes[outside], true, np.random.default_rng(0))
                layers = np.arange(1, shapes.shape[1] + 1)
                columns = {"importance": matter.importance, "low": matter.low, "high": matter.high}
                rows.append(pd.DataFrame({"predictor": name, "layer": layers, **columns}))
    print("| predictor | rank correlation | worst split | covered by 95 % | width of the bar | error | seconds |")

    print("|" + "---|" * 7)
    for name, values in found.items():
        mean, worst = np.mean(values, axis=0), np.min([value[0] for value in values])
        shown = (f"{mean[0]:.4f}", f"{worst:.4f}", *(f"{value:.3f}" for value in mean[1:4]), f"{mean[4]:.1f}")
        print(f"| {name} | " + " | ".join(shown) + " |", flush=True)
    return {
        f"perplexity_{key}_{name}": float(np.mean([value[place] for value in values]))
        for name, values in found.items()
        for place, key in enumerate(("rank_correlation", "covered"))
    }


def layers_that_matter(grid: ShapeGrid, table: ShapeTable, learned: PerplexityPredictor, parts: pd.DataFrame) -> None:
    """Print importance by layer, and what each width does."""
    wide = parts.pivot(index="layer", columns="predictor", values="importance")
    scales = getattr(learned, "length_scales", np.full(grid.layers, np.nan))
    effects = width_effects(grid, learned, table.scored[0][:200])
    print("\n| layer | importance, gp | importance, trees | length scale | " + " | ".join(map(str, grid.widths)) + " |")
    print("|" + "---|" * (4 + len(grid.widths)))
    for layer, scale, effect in zip(range(1, grid.layers + 1), scales, effects, strict=True):
        values = (f"{wide.loc[layer, 'gp']:.3f}", f"{wide.loc[layer, 'trees']:.3f}", f"{scale:.2f}")
        print(f"| {layer} | " + " | ".join((*values, *(f"{value:.2f}" for value in effect))) + " |")


def kinds(
    grid: ShapeGrid, learned: PerplexityPredictor, check: PerplexityPredictor, budget: float, seed: int
) -> pd.DataFrame:
    """Shapes of every kind with so many parameters, and their predicted perplexities."""
    most = budget * (1 + TOLERANCE)
    limit = Limit("parameters", lambda shapes: grid.parameters(shapes).astype(np.float64), most)
    rows = {"searched": tuple(search_shapes(grid, learned.expected, [limit], seed).shapes[0].tolist())}
    for name, shape in (("by hand, in the paper", PAPER), ("searched, in the paper", PAPER_SEARCHED)):
        if abs(grid.parameters(np.array([shape]))[0] - budget) <= TOLERANCE * budget:
            rows[name] = shape
    rows |= {f.value: generate(grid, f, budget).widths for f in ShapeFamily if f is not ShapeFamily.RANDOM}
    shapes = np.array(list(rows.values()))
    told, checked = learned.predict(shapes), check.expected(shapes)
    frame = pd.DataFrame({"kind": list(rows), "value": told.value, "low": told.low, "high": told.high})
    frame["trees"], frame["parameters"] = checked, grid.parameters(shapes)
    frame["shape"] = [",".join(map(str, shape)) for shape in rows.values()]
    chance = random_shapes(grid, budget, RANDOM, np.random.default_rng(seed))
    values = learned.expected(chance)
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    frame.loc[len(frame)] = [
        f"random ({RANDOM}: median, 95 % of them)",
        middle,
        low,
        high,
        float(np.median(check.expected(chance))),
        int(np.mean(grid.parameters(chance))),
        "",
    ]
    return frame


def devices(grid: ShapeGrid, table: ShapeTable) -> tuple[Figures, pd.DataFrame]:
    """Print and return what latencies are due to."""
    measured = {name: table.timed(name) for name in table.latency} | {"perplexity": table.scored}
    rows, document = [], {}
    titles = (
        "",
        "shapes",
        "spread",
        "by parameters",
        "by shape",
        "rest",
        "spread at equal parameters",
        "of it by shape",
    )
    print("\n| " + " | ".join(titles) + " |")
    print("|" + "---|" * 8)
    for name, (shapes, values) in measured.items():
        one = variance_shares(grid, shapes, values)
        rows.append({"name": name, "parameters": one.parameters, "shape": one.shape, "rest": one.rest})
        low, high = one.shape_range
        between = f"{one.explained_there:.1%} ({one.explained_range[0]:.1%} to {one.explained_range[1]:.1%})"
        print(
            f"| {name} | {one.count} | {one.spread:.1%} | {one.parameters:.2%} | {one.shape:.2%} "
            f"({low:.2%} to {high:.2%}) | {one.rest:.2%} | {one.at_equal_parameters:.2%} | {between} |"
        )
        key = name.split(",")[0].replace(" ", "_").lower()
        document[f"share_by_parameters_{key}"], document[f"share_by_shape_{key}"] = one.parameters, one.shape
    print("\nspread around the curve of the parameters, in seven bins of them:")
    for name, (shapes, values) in measured.items():
        bins = in_bins(grid, shapes, values)
        pairs = zip(bins.parameters, bins.spread, strict=True)
        print(f"  {name}: " + ", ".join(f"{size / 1e6:.0f} M {spread:.2%}" for size, spread in pairs))
    agreement = device_agreement(grid, table.shapes, table.latency)
    print("\nrank correlations (in brackets: of what the parameters leave unexplained)")
    for name, overall, equal in zip(agreement.devices, agreement.overall, agreement.at_equal_parameters, strict=True):
        print(f"  {name}: " + ", ".join(f"{a:.3f} ({b:+.2f})" for a, b in zip(overall, equal, strict=True)))
    pairs = np.triu_indices(len(agreement.devices), 1)
    document["device_rank_correlation_min"] = float(agreement.overall[pairs].min())
    document["device_rank_correlation_at_equal_parameters_max"] = float(agreement.at_equal_parameters[pairs].max())
    return document, pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class Bins:
    """Spread of measurements within B equally filled bins of the number of parameters.

    Attributes:
        parameters: mean of each bin ``[B]``.
        count: number of shapes per bin.
        spread: standard deviation of the logarithm around the curve of the parameters, ``[B]``.
    """

    parameters: Array
    count: tuple[int, ...]
    spread: Array


def in_bins(grid: ShapeGrid, shapes: Shapes, values: Array, bins: int = 7, seed: int = 0) -> Bins:
    """Return the spread of measurements among shapes of equal size. Errors are those of ``beyond_parameters``."""
    left = beyond_parameters(grid, shapes, values, seed)
    sizes = grid.parameters(shapes)
    groups = np.array_split(np.argsort(sizes, kind="stable"), bins)
    return Bins(
        np.array([sizes[group].mean() for group in groups]),
        tuple(len(group) for group in groups),
        np.array([np.sqrt(np.mean(np.square(left[group]))) for group in groups]),
    )


def derive_profile(
    grid: ShapeGrid,
    perplexity: Quantity,
    budgets: Sequence[float],
    seed: int = 0,
    settings: EvolutionSettings | None = None,
) -> Array:
    """Return the relative widths that the best shapes have in common.

    Args:
        grid: the shapes.
        perplexity: predicted or measured.
        budgets: numbers of parameters to search under.
        seed: seed of the searches.
        settings: settings of the searches.

    Returns:
        Mean widths of the shapes within 1 % of the best, relative to their mean, for every budget, ``[B, L]``.
    """
    profiles = []
    for budget in budgets:
        limit = Limit("parameters", lambda shapes: grid.parameters(shapes).astype(np.float64), budget)
        found = search_shapes(grid, perplexity, [limit], seed, settings, keep=200)
        mean = found.shapes[found.values <= NEAR_BEST * found.values[0]].mean(axis=0)
        profiles.append(mean / mean.mean())
    return np.array(profiles)


def width_prices(grid: ShapeGrid, shapes: NDArray[np.int64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much of the latency one layer more of each width is slower than the parameters say, ``[W]``."""
    left = beyond_parameters(grid, shapes, seconds)
    counts = (shapes[:, :, None] == np.array(grid.widths)).sum(1)
    fitted, *_ = np.linalg.lstsq(counts - counts.mean(0), left - left.mean(), rcond=None)
    return np.asarray(fitted)


def numbers(values: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def draw(folder: Path, importance: pd.DataFrame, compared: pd.DataFrame, shares: pd.DataFrame) -> None:
    from explorer.plots.saving import save_figure
    from explorer.plots.shapes import kinds_compared, layer_importance_plot, variance_bars

    save_figure(layer_importance_plot(importance), folder / "shape_importance.png")
    save_figure(kinds_compared(compared), folder / "shape_kinds.png")
    save_figure(variance_bars(shares), folder / "shape_devices.png")


def main() -> None:
    parser = OptionParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with architectures/")
    parser.add_argument("--splits", type=int, default=5, help="random splits into 500 and 200")
    parser.add_argument("--pictures", type=Path, help="folder for the figures")
    parser.add_argument("--quick", action="store_true", help="1 split, 1 budget, 1 machine's latency predicted")
    options = parser.parse_args()
    grid = ShapeGrid()
    table = read_shapes(options.data / "architectures" / "supershaper" / "shapes_700.csv", grid)
    parts: list[pd.DataFrame] = []
    document = predictors(table, 1 if options.quick else options.splits, parts)
    learned, check = (make(0).fit(*table.scored) for make in PREDICTORS.values())
    layers_that_matter(grid, table, learned, pd.concat(parts))
    if not options.quick:
        profiles = derive_profile(grid, learned.expected, DERIVED_FROM)
        for budget, profile in zip(DERIVED_FROM, profiles, strict=True):
            print(f"relative widths of the best, {budget / 1e6:.0f} M: {numbers(profile)}")
        print(f"mean: {numbers(profiles.mean(0))}")
    middle = BUDGETS[2]
    for budget in (middle,) if options.quick else BUDGETS:
        compared = kinds(grid, learned, check, budget, 0)
        print(f"\n{budget / 1e6:.0f} M parameters, merged\n\n| kind | shape | parameters | perplexity (95 %) | trees |")
        print("|" + "---|" * 5)
        for row in compared.itertuples():
            told = f"{row.value:.2f} ({row.low:.2f} to {row.high:.2f})"
            print(f"| {row.kind} | {row.shape} | {row.parameters / 1e6:.2f} M | {told} | {row.trees:.2f} |")
        if budget == middle:
            shown = compared
            by_kind = compared.set_index("kind")["value"]
            document["perplexity_searched"], document["perplexity_good"] = by_kind["searched"], by_kind["good"]
            document["perplexity_rectangle"] = by_kind["rectangle"]
            document["perplexity_random_median"] = by_kind.iloc[-1]
    found, shares = devices(grid, table)
    document |= found
    names = list(table.latency)
    for name in names[:1] if options.quick else names:
        shapes, seconds = table.timed(name)
        timed = LatencyPredictor(grid).fit(shapes, seconds).learned
        prices = ", ".join(
            f"{w} {p:+.2%}" for w, p in zip(grid.widths, width_prices(grid, shapes, seconds), strict=True)
        )
        print(f"\n{name}: rank correlation {timed.rank_correlation:.3f} in 5 folds, by {timed.method}")
        print(f"a layer of a width more, at equal parameters: {prices}")
        document[f"latency_rank_correlation_{name.split(',')[0].replace(' ', '_').lower()}"] = timed.rank_correlation
    if options.pictures:
        draw(options.pictures, pd.concat(parts), shown, shares)
    print(json.dumps({key: round(float(value), 6) for key, value in document.items()}))


if __name__ == "__main__":
    run_main(main)
