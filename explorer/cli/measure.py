"""``archex measure``: cost of architectures on this machine."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from explorer.cli.console import (
    DEFAULT_STORE,
    JsonOption,
    SeedOption,
    StoreOption,
    errors,
    opened,
    output,
    print_json,
    progress_reporter,
)
from explorer.cli.resolve import resolve_spec
from explorer.errors import InputError
from explorer.library.measuring import Bench, Measured, measure_missing
from explorer.library.measuring import measure as measure_one
from explorer.library.spaces import add_architecture
from explorer.measure.settings import VOCABULARY, Load, Precision
from explorer.similarity.graph import architecture_id

SHOWN_FAILURES = 10


def measure(
    model: Annotated[
        str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict; none with --missing.")
    ] = "",
    missing: Annotated[
        bool, typer.Option("--missing", help="Measure the architectures of --space without measurements.")
    ] = False,
    space: Annotated[str, typer.Option("--space", help="The space to measure, with --missing.")] = "",
    limit: Annotated[
        int,
        typer.Option(
            "--limit", help="With --missing: number of measured architectures to reach, earlier ones included."
        ),
    ] = 100,
    batch: Annotated[int, typer.Option("--batch", help="Batch size, in sequences.")] = 1,
    length: Annotated[int, typer.Option("--length", help="Sequence length, in tokens.")] = 128,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:NUMBER.")] = "cpu",
    threads: Annotated[int, typer.Option("--threads", help="Processor threads of one operation.")] = 1,
    precision: Annotated[Precision, typer.Option("--precision", help="Floating-point precision.")] = Precision.FP32,
    vocab: Annotated[int, typer.Option("--vocab", help="Size of the vocabulary.")] = VOCABULARY,
    repeats: Annotated[int, typer.Option("--repeats", help="Timed forward passes.")] = 30,
    memory: Annotated[
        bool | None,
        typer.Option(
            "--memory/--no-memory", help="Also measure peak memory; by default for one model, not with --missing."
        ),
    ] = None,
    seed: SeedOption = 0,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Measure parameters, FLOPs, latency and peak memory of an architecture, or of many, and store them."""
    if missing == bool(model) or missing != bool(space):
        given = " ".join(filter(None, [model, "--missing" * missing, f"--space {space}" * bool(space)]))
        rule = "be a model, or --missing with --space"
        raise InputError("what to measure", rule, given, "Run for example `archex measure BERT-Mini`.")
    with_memory = not missing if memory is None else memory
    load = Load(batch, length, precision, vocab)
    bench = Bench(load, device, threads, repeats, with_memory)
    bench.name()  # Validates the device before a store is created.
    if missing:
        _many(bench, space, limit, seed, store, json)
        return
    spec = resolve_spec(model, store)
    id = architecture_id(spec)
    with opened(store) as opened_store:
        measured = measure_one(spec, bench)
        add_architecture(opened_store, spec)
        opened_store.add_measurements(measured.records(id))
    if json:
        print_json({"id": id, **dataclasses.asdict(measured)})
    else:
        _print_measured(model, id, measured)


def _many(bench: Bench, space: str, limit: int, seed: int, store: str, json: bool) -> None:
    with opened(store, create=False) as opened_store, progress_reporter() as reporter:
        filled = measure_missing(opened_store, space, limit, bench, reporter, seed)
    for id, reason in filled.failed[:SHOWN_FAILURES]:
        errors.print(f"{id} could not be measured: {reason}", markup=False, soft_wrap=True)
    if json:
        print_json(dataclasses.asdict(filled))
    else:
        output.print(
            f"{filled.new} architectures of {space} measured on {filled.device}, {filled.before} measured before, "
            f"{len(filled.failed)} failed",
            markup=False,
            soft_wrap=True,
        )
    if filled.failed:
        raise typer.Exit(1)


def _print_measured(model: str, id: str, measured: Measured) -> None:
    load, latency, flops = measured.load, measured.latency, measured.flops
    lines = [
        f"{model} ({id}) on {measured.device}; batch {load.batch}, length {load.length}, {load.precision}",
        f"parameters {measured.parameters:,} with a vocabulary of {load.vocabulary:,}",
        f"FLOPs {flops.forward:,} forward, {flops.training:,} forward and backward",
        f"latency {1e3 * latency.p50:.2f} ms (p90 {1e3 * latency.p90:.2f}, p95 {1e3 * latency.p95:.2f}, "
        f"mean {1e3 * latency.mean:.2f}, fastest {1e3 * latency.fastest:.2f}; {latency.runs} runs)",
    ]
    lines += [
        f"peak memory of {one.use} {one.peak / 2**20:.1f} MiB, {one.weights / 2**20:.1f} of them weights "
        f"(in addition to {one.baseline / 2**20:.0f} MiB that any model needs)"
        for one in measured.memory
    ]
    for line in lines:
        output.print(line, markup=False, soft_wrap=True)
