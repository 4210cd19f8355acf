"""``archex shapes``: which layers of a SuperShaper backbone should be wide."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from explorer.cli.console import JsonOption, SeedOption, output, print_json
from explorer.cli.dialect import DialectOptions
from explorer.cli.options import with_options
from explorer.errors import InputError
from explorer.space.backbones import parse_widths
from explorer.supershaper.shapes.asking import (
    Interval,
    ShapeLimits,
    ShapeObjective,
    ShapePredictors,
    ShapeReport,
)
from explorer.supershaper.shapes.devices import device_agreement, variance_shares
from explorer.supershaper.shapes.evolution import EvolutionSettings
from explorer.supershaper.shapes.grid import VOCABULARY, ShapeGrid
from explorer.supershaper.shapes.heuristics import TOLERANCE, ShapeFamily, generate
from explorer.supershaper.shapes.tables import ShapeTable, read_shapes

group = typer.Typer(no_args_is_help=True)
DataOption = Annotated[Path, typer.Option("--data", help="Table of measured shapes: h1, h2, …, perplexity, NAME_s.")]
VocabOption = Annotated[int, typer.Option("--vocab", help="Size of the vocabulary, for the parameters.")]
UnmergedOption = Annotated[
    bool, typer.Option("--unmerged", help="Count parameters with the bottlenecks between layers not merged.")
]
MethodOption = Annotated[str, typer.Option("--predictor", help="Predictor of perplexity: gp or trees.")]
MOST_VOCABULARY = 1_000_000


@group.callback()
def shapes() -> None:
    """Search, predict and describe shapes: the width of each layer of a backbone."""


def _grid(vocab: int, unmerged: bool) -> ShapeGrid:
    if not 1 <= vocab <= MOST_VOCABULARY:
        raise InputError("--vocab", f"be from 1 to {MOST_VOCABULARY:,}", vocab, "Give the size of your vocabulary.")
    return ShapeGrid(vocabulary=vocab, merged=not unmerged)


def _device(table: ShapeTable, asked: str) -> str:
    """Return the only machine whose name contains the text."""
    found = [name for name in table.latency if asked.casefold() in name.casefold()]
    if asked in table.latency:
        return asked
    if len(found) != 1:
        rule = f"name one of: {', '.join(table.latency) or 'none, as the table has no latencies'}"
        raise InputError("--device", rule, asked, "Give a part of one name.")
    return found[0]


@group.command("search")
@with_options
def search(
    data: DataOption,
    dialect: DialectOptions,
    max_parameters: Annotated[float | None, typer.Option("--max-parameters", help="For example 63e6.")] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option("--max-latency-ms", help="Most milliseconds on --device.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="A machine of the table, or a part of its name.")] = "",
    max_perplexity: Annotated[
        float | None, typer.Option("--max-perplexity", help="Upper limit of the predicted perplexity.")
    ] = None,
    minimise: Annotated[
        ShapeObjective, typer.Option("--minimise", help="Quantity to minimise.")
    ] = ShapeObjective.PERPLEXITY,
    predictor: MethodOption = "gp",
    count: Annotated[int, typer.Option("--count", help="How many of the best to show.", min=1, max=1000)] = 5,
    generations: Annotated[
        int, typer.Option("--generations", help="Generations of the evolutionary search.", min=1, max=10_000)
    ] = 60,
    vocab: VocabOption = VOCABULARY,
    unmerged: UnmergedOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Search all shapes by evolution, with predictors fitted to a table of measured shapes."""
    grid = _grid(vocab, unmerged)
    table = read_shapes(data, grid, dialect.table)
    timed = _device(table, device) if device else None
    if timed is None and (max_latency_ms is not None or minimise is ShapeObjective.LATENCY):
        raise InputError("--device", "be given with a latency", "nothing", f"Choose of: {', '.join(table.latency)}.")
    learned = ShapePredictors.learn(table, grid, predictor, [timed] if timed else [], seed)
    limits = ShapeLimits(
        max_parameters,
        max_perplexity,
        {timed: max_latency_ms / 1000} if timed is not None and max_latency_ms is not None else {},
    )
    settings = EvolutionSettings(generations=generations)
    found = learned.search(limits, minimise, timed, seed, settings, count)
    reports = learned.reports(found.shapes)
    if json:
        document = {
            "shapes": [_document(report) for report in reports],
            "minimised": minimise.value,
            "space": grid.count,
            "evaluated": found.evaluated,
            "predictor": predictor,
            "seed": seed,
        }
        print_json(document)
        return
    _print(reports)
    output.print(f"{found.evaluated:,} of {grid.count:,} shapes were evaluated")


@group.command("heuristic")
@with_options
def heuristic(
    parameters: Annotated[float, typer.Option("--parameters", help="Number of parameters, for example 63e6.")],
    dialect: DialectOptions,
    family: Annotated[ShapeFamily, typer.Option("--family", help="Which kind of shape.")] = ShapeFamily.GOOD,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Share by which the parameters may differ.")
    ] = TOLERANCE,
    data: Annotated[Path | None, typer.Option("--data", help="Table of measured shapes, to predict from.")] = None,
    predictor: MethodOption = "gp",
    vocab: VocabOption = VOCABULARY,
    unmerged: UnmergedOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Generate a shape with this number of parameters by a rule, without a search."""
    grid = _grid(vocab, unmerged)
    made = generate(grid, family, parameters, tolerance, np.random.default_rng(seed))
    table = ShapeTable(np.zeros((0, grid.layers), dtype=np.int64), np.zeros(0), {})
    if data is not None:
        table = read_shapes(data, grid, dialect.table)
    learned = ShapePredictors.learn(table, grid, predictor, seed=seed)
    report = learned.reports(np.array([made.widths]))[0]
    if json:
        print_json({**_document(report), "family": family.value, "off_profile": made.off})
        return
    _print([report])


@group.command("predict")
@with_options
def predict(
    shape: Annotated[str, typer.Argument(help="Widths of the layers, as 480,240,360,…")],
    data: DataOption,
    dialect: DialectOptions,
    predictor: MethodOption = "gp",
    vocab: VocabOption = VOCABULARY,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Predict perplexity and latencies of a shape from a table of measured shapes."""
    grid = _grid(vocab, unmerged=False)
    widths = parse_widths(shape)
    if widths is None:
        example = ",".join([str(grid.backbone.hidden)] * grid.backbone.layers)
        raise InputError("shape", "be widths separated by commas", shape, f"Write for example {example}.")
    row = grid.check([widths])
    table = read_shapes(data, grid, dialect.table)
    report = ShapePredictors.learn(table, grid, predictor, seed=seed).reports(row)[0]
    if json:
        print_json(_document(report))
        return
    _print([report])


@group.command("devices")
@with_options
def devices(
    file: Annotated[Path, typer.Argument(help="Table of measured shapes with latencies in columns NAME_s.")],
    dialect: DialectOptions,
    vocab: VocabOption = VOCABULARY,
    unmerged: UnmergedOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Show how much of each machine's latency depends on the shape at equal parameters."""
    grid = _grid(vocab, unmerged)
    table = read_shapes(file, grid, dialect.table)
    shares = {name: variance_shares(grid, *table.timed(name), seed) for name in table.latency}
    agreement = device_agreement(grid, table.shapes, table.latency, seed)
    if len(table.scored[0]):
        shares["perplexity"] = variance_shares(grid, *table.scored, seed)
    if json:
        document: dict[str, Any] = {
            "shares": {name: dataclasses.asdict(one) for name, one in shares.items()},
            "devices": list(agreement.devices),
            "shapes": agreement.count,
            "rank_correlation": agreement.overall.tolist(),
            "rank_correlation_at_equal_parameters": agreement.at_equal_parameters.tolist(),
            "rank_correlation_with_parameters": agreement.parameters.tolist(),
        }
        print_json(document)
        return
    shown = Table("", "spread", "by parameters", "by shape", "rest", "spread at equal parameters", "explained by shape")
    for name, one in shares.items():
        values = (one.spread, one.parameters, one.shape, one.rest, one.at_equal_parameters, one.explained_there)
        shown.add_row(name, *(f"{value:.1%}" for value in values))
    output.print(shown)
    ranks = Table("rank correlation (at equal parameters)", *agreement.devices)
    for name, overall, equal in zip(agreement.devices, agreement.overall, agreement.at_equal_parameters, strict=True):
        ranks.add_row(name, *(f"{a:.3f} ({b:+.2f})" for a, b in zip(overall, equal, strict=True)))
    output.print(ranks)


def _document(report: ShapeReport) -> dict[str, Any]:
    def ranged(one: Interval, unit: float = 1.0) -> dict[str, float]:
        return {"value": unit * one.value, "low": unit * one.low, "high": unit * one.high}

    return {
        "shape": list(report.widths),
        "parameters": report.parameters,
        "parameters_unmerged": report.parameters_unmerged,
        "perplexity": None if report.perplexity is None else ranged(report.perplexity),
        "latency_ms": {name: ranged(one, 1000.0) for name, one in report.latency_s.items()},
    }


def _print(reports: list[ShapeReport]) -> None:
    devices = list(reports[0].latency_s)
    shown = Table("shape", "parameters", "unmerged", "perplexity (95 %)", *(f"{name}, ms" for name in devices))
    for report in reports:
        ppl = report.perplexity
        shown.add_row(
            ",".join(map(str, report.widths)),
            f"{report.parameters:,}",
            f"{report.parameters_unmerged:,}",
            "–" if ppl is None else f"{ppl.value:.2f} ({ppl.low:.2f} to {ppl.high:.2f})",
            *(f"{1000 * one.value:.4g}" for one in report.latency_s.values()),
        )
    output.print(shown)
