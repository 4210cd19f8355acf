"""``archex space``: count, build and sample design spaces."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import typer

from explorer.analysis.ranges import parse_range
from explorer.cli.console import (
    DEFAULT_STORE,
    JobOption,
    JsonOption,
    SeedOption,
    StoreOption,
    find_job,
    opened,
    output,
    print_json,
    progress_reporter,
    say,
)
from explorer.cli.filters import DepthOption, FlopsOption, ParametersOption
from explorer.errors import InputError
from explorer.library.records import FLOPS_LENGTH
from explorer.library.settings import kernel_text
from explorer.library.spaces import build_space, check_size, check_space_name, chosen_kernel
from explorer.measure.size import flops_cost, parameter_cost
from explorer.similarity.graph import architecture_id
from explorer.similarity.kernel import MAX_HOURS
from explorer.similarity.registry import KERNELS
from explorer.space.constraints import AdditiveCost, Constraint
from explorer.space.formats import to_model_dict
from explorer.space.grammar import DesignSpace, load_space, preset_names
from explorer.space.sampling import sample_within
from explorer.studies.jobs import running_job
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
    space = load_space(preset)
    if space.read_as:
        say(f"{preset} is read as {space.read_as}")
    return space.at_level(level, True if mixed else None)


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
    kernel: Annotated[
        str,
        typer.Option(
            "--kernel",
            help=f"Graph kernel for neighbours, vectors and search: {', '.join(KERNELS)} or grakel:NAME; by default "
            "that of the YAML file, else views.",
        ),
    ] = "",
    kernel_parameter: Annotated[
        list[str] | None, typer.Option("--kernel-parameter", help="NAME=VALUE for the kernel. Repeatable.")
    ] = None,
    max_kernel_hours: Annotated[
        float, typer.Option("--max-kernel-hours", help="Refuse a kernel whose estimated cost is higher.", min=0.0)
    ] = MAX_HOURS,
    name: Annotated[str, typer.Option("--name", help="Another name for the library, such as nano-wl.")] = "",
    store: StoreOption = DEFAULT_STORE,
    job: JobOption = "",
    json: JsonOption = False,
) -> None:
    """Build the library of a space: graphs, vectors and nearest neighbours of every architecture."""
    space = _space(preset, layers_per_stack, mixed)
    if name:
        check_space_name(name)
        space = replace(space, name=name)
    check_size(space)
    chosen = chosen_kernel(space, kernel, kernel_parameter or ())
    start = time.perf_counter()
    with ExitStack() as stack:
        opened_store, reporter = stack.enter_context(opened(store)), stack.enter_context(progress_reporter())
        if job:
            reporter = stack.enter_context(running_job(opened_store, find_job(opened_store, job), reporter))
        library = build_space(opened_store, space, reporter, chosen, max_kernel_hours)
        total, agreement = len(library.embeddings.ids), library.agreement
    seconds = time.perf_counter() - start
    if json:
        facts = {"space": library.name, "architectures": total, "kernel": kernel_text(library.info)}
        print_json({**facts, "embedding_spearman": agreement, "seconds": seconds})
    else:
        output.print(
            f"{library.name}: {total:,} architectures in {seconds:.1f} s by kernel {kernel_text(library.info)}; "
            f"distances of vectors follow the exact ones with rank correlation {agreement:.3f}"
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
