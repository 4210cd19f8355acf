"""``archex space``: count, build and sample design spaces."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any

import numpy as np
import typer

from explorer.analysis.ranges import parse_range
from explorer.cli.console import (
    DEFAULT_STORE,
    JsonOption,
    SeedOption,
    StoreOption,
    opened,
    output,
    print_json,
    progress_reporter,
)
from explorer.cli.filters import DepthOption, FlopsOption, ParametersOption
from explorer.errors import InputError
from explorer.library.build import build_space, check_size
from explorer.library.records import FLOPS_LENGTH
from explorer.measure.size import flops_cost, parameter_cost
from explorer.similarity.graph import architecture_id
from explorer.space.constraints import AdditiveCost, Constraint
from explorer.space.formats import to_model_dict
from explorer.space.grammar import DesignSpace, load_space, preset_names
from explorer.space.sampling import sample_within
from graphstore.queries import Range

group = typer.Typer(no_args_is_help=True)
MAX_SAMPLE = 100_000

Preset = Annotated[str, typer.Argument(help=f"A preset ({', '.join(preset_names())}) or a YAML file.")]
LevelOption = Annotated[
    int | None, typer.Option("--layers-per-stack", help="Layers that share their choices; 1 is the finest level.")
]
MixedOption = Annotated[
    bool, typer.Option("--heterogeneous-feed-forward", help="Let the widths within a feed-forward stack differ.")
]


def _space(preset: str, level: int | None, mixed: bool) -> DesignSpace:
    return load_space(preset).at_level(level, True if mixed else None)


def _ends(span: Range) -> tuple[float, float]:
    low = -math.inf if span.at_least is None else span.at_least
    return low, math.inf if span.at_most is None else span.at_most


def _constraint(name: str, cost: AdditiveCost, text: str) -> Constraint:
    return Constraint(name, cost, *_ends(parse_range(f"--{name}", text, whole=True)))


@group.command()
def count(
    preset: Preset, layers_per_stack: LevelOption = None, mixed: MixedOption = False, json: JsonOption = False
) -> None:
    """Count a space's architectures, exactly and without enumerating them."""
    space = _space(preset, layers_per_stack, mixed)
    total = space.count()
    if json:
        print_json({"space": space.name, "layers_per_stack": space.layers_per_stack, "count": total})
    else:
        output.print(f"{space.name}: {total:,} architectures ({space.choices_per_layer} choices per layer)")


@group.command()
def build(
    preset: Preset,
    layers_per_stack: LevelOption = None,
    mixed: MixedOption = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Build a space's library: graphs, vectors and exact nearest neighbours of every architecture."""
    space = _space(preset, layers_per_stack, mixed)
    check_size(space)
    start = time.perf_counter()
    with opened(store) as opened_store, progress_reporter() as reporter:
        record = build_space(opened_store, space, reporter)
    seconds = time.perf_counter() - start
    if json:
        spearman = record.info["embedding_spearman"]
        total = record.info["architectures"]
        print_json({"space": record.name, "architectures": total, "embedding_spearman": spearman, "seconds": seconds})
    else:
        output.print(
            f"{record.name}: {record.info['architectures']:,} architectures in {seconds:.1f} s; embedded distances "
            f"follow the exact dissimilarities with rank correlation {record.info['embedding_spearman']:.3f}"
        )


@group.command()
def sample(
    preset: Preset,
    number: Annotated[int, typer.Option("--count", help="How many to draw.")] = 1,
    layers_per_stack: LevelOption = None,
    mixed: MixedOption = False,
    parameters: ParametersOption = "",
    flops: FlopsOption = "",
    depth: DepthOption = "",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Draw architectures uniformly, from the whole space or from those in the given ranges, and print them."""
    if not 1 <= number <= MAX_SAMPLE:
        raise InputError("--count", f"be from 1 to {MAX_SAMPLE}", number, "Draw fewer at a time.")
    if seed < 0:
        raise InputError("--seed", "be 0 or more", seed, "Choose another seed.")
    space = _space(preset, layers_per_stack, mixed)
    if depth:
        space = space.with_depths(*_ends(parse_range("--depth", depth, whole=True)))
    sizes = {
        "parameters": parameter_cost(embeddings=False, backbone=space.backbone),
        "flops": flops_cost(FLOPS_LENGTH, backbone=space.backbone),
    }
    ranges = {"parameters": parameters, "flops": flops}
    constraints = [_constraint(name, sizes[name], text) for name, text in ranges.items() if text]
    specs = sample_within(space, number, np.random.default_rng(seed), constraints)
    rows: list[dict[str, Any]] = [
        {
            "id": architecture_id(spec),
            "model_dict": to_model_dict(spec),
            **{name: size(spec) for name, size in sizes.items()},
        }
        for spec in specs
    ]
    if json:
        print_json({"architectures": rows})
    else:
        for row in rows:
            size = f"{row['parameters']:,} encoder parameters"
            output.print(f"{row['id']}  {size}  {row['model_dict']}", soft_wrap=True, markup=False)
