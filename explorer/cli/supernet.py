"""``archex supernet``: one trained model that holds every shape of a backbone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from explorer.cli.console import JsonOption, SeedOption, opened, output, print_json, progress_reporter, say_note
from explorer.cli.search_options import DataOption, RecipeOption
from explorer.errors import InputError
from explorer.library.workplace import STORE_VARIABLE
from explorer.progress import Reporter
from explorer.supershaper.planning import BACKBONES, SAMPLED, shape_of, shapes_to_evaluate, super_settings
from explorer.training.metrics import levels_text

if TYPE_CHECKING:
    from explorer.models import FlexiBertPreTrainedModel

group = typer.Typer(no_args_is_help=True)
FolderArgument = Annotated[Path, typer.Argument(help="The super-network's folder.")]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar=STORE_VARIABLE,
        help="Keep the scores in this store too: sqlite:///FILE or neo4j://HOST:7687.",
    ),
]


@group.callback()
def supernet() -> None:
    """Train a super-network, evaluate shapes inside it, and extract one as a stand-alone model."""


@group.command()
def train(
    folder: FolderArgument,
    backbone: Annotated[
        str, typer.Option("--backbone", help=f"{', '.join(BACKBONES)}, or LAYERSxHIDDEN such as 12x768.")
    ] = "",
    widths: Annotated[str, typer.Option("--widths", help="Widths of a layer, such as 16,32,48,64.")] = "",
    steps: Annotated[int | None, typer.Option("--steps", help="Optimiser steps.")] = None,
    text: Annotated[
        Path | None,
        typer.Option("--text", help="A text file, or a folder with train.txt and valid.txt; else the default text."),
    ] = None,
    bert: Annotated[
        str, typer.Option("--from", help="Start from this BERT's weights and vocabulary: its folder, or its hub name.")
    ] = "",
    cased: Annotated[
        bool | None,
        typer.Option(
            "--cased/--uncased", help="Whether the tokenizer of --from keeps capitals; by default decided from it."
        ),
    ] = None,
    distil: Annotated[
        float,
        typer.Option(
            "--distil", help="Share of the smaller shapes' loss that comes from the largest one's predictions, 0 to 1."
        ),
    ] = 0.0,
    sampled: Annotated[
        int, typer.Option("--sampled", help="Random shapes per step, in addition to the largest and the smallest.")
    ] = SAMPLED,
    recipe: Annotated[str, typer.Option("--recipe", help="Batches, rates and so on: a name or a YAML file.")] = "",
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option("--threads", help="Processor threads to train with.", min=1, max=256)] = 1,
    json: JsonOption = False,
) -> None:
    """Super-pre-train all shapes of a backbone together, on a GPU if there is one.

    The same command resumes an interrupted training. Without options it resumes with the settings stored in the folder.
    """
    import torch

    from explorer.supershaper.folder import MODEL, last_loss, open_folder, stored_settings, train_folder
    from explorer.training.loop import TrainingStopped, best_device

    asked = backbone or widths or steps is not None or text or bert or distil or sampled != SAMPLED or recipe or seed
    asked = asked or cased is not None
    settings = None if asked else stored_settings(folder)
    if settings is None:
        settings = super_settings(backbone or "nano", widths, steps, text, bert, distil, sampled, recipe, seed, cased)
    torch.set_num_threads(threads)
    total = settings.plan.recipe.pretrain_steps
    with progress_reporter() as reporter, _stoppable() as should_stop:

        def on_step(step: int, loss: float) -> None:
            reporter.update("super-training", step, total, f"loss {loss:.3f}")

        try:
            told = _reporting(reporter, "text"), on_step, should_stop, say_note
            train_folder(folder, settings, best_device(), *told)
        except TrainingStopped:
            raise KeyboardInterrupt from None
        done = open_folder(folder, torch.device("cpu"))
    plan = settings.plan
    shapes = len(plan.widths) ** plan.backbone.layers
    if json:
        document: dict[str, Any] = {"folder": str(folder), "mark": done.mark, "model": str(folder / MODEL)}
        document |= {"backbone": asdict(plan.backbone), "widths": list(plan.widths), "shapes": shapes}
        loss = last_loss(folder)
        print_json(document | {"steps": total} | ({} if loss is None else {"loss": loss}))
    else:
        output.print(f"super-network {done.mark} of {shapes:,} shapes is in {folder}", soft_wrap=True, markup=False)


@group.command()
def evaluate(
    folder: FolderArgument,
    shapes: Annotated[list[str] | None, typer.Argument(help="Shapes, each as 16,32,48,64.")] = None,
    sample: Annotated[int, typer.Option("--sample", help="Random shapes to evaluate in addition.", min=0)] = 0,
    rows: Annotated[int, typer.Option("--rows", help="Held-out rows to evaluate on.", min=1, max=1_000_000)] = 256,
    alone: Annotated[
        int, typer.Option("--alone", help="Also train each shape alone from scratch for this number of steps.", min=0)
    ] = 0,
    space: Annotated[str, typer.Option("--space", help="With --store: the space that the shapes go into.")] = "shapes",
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option("--threads", help="Processor threads.", min=1, max=256)] = 1,
    store: StoreOption = "",
    json: JsonOption = False,
) -> None:
    """Masked-LM perplexity of shapes inside a super-network, on text that it has not seen."""
    import torch

    from explorer.studies.supernet import check_space, keep_scores
    from explorer.supershaper.alone import evaluate_shapes
    from explorer.supershaper.folder import open_folder
    from explorer.training.loop import TrainingStopped, best_device

    torch.set_num_threads(threads)
    with progress_reporter() as reporter, _stoppable() as should_stop:
        network = open_folder(folder, best_device(), _reporting(reporter, "text"))
        chosen = shapes_to_evaluate(network.settings.plan, shapes or [], sample, seed)
        if store:
            with opened(store) as opened_store:
                check_space(opened_store, network, space, chosen)

        def on_shape(done: int) -> None:
            reporter.update("evaluating", done, len(chosen))
            if should_stop():
                raise KeyboardInterrupt

        def on_step(done: int, step: int, loss: float) -> None:
            reporter.update("training alone", round(done + step / alone, 2), len(chosen), f"loss {loss:.3f}")

        try:
            found = evaluate_shapes(network, chosen, rows, alone, seed, on_shape, on_step, should_stop)
        except TrainingStopped:
            raise KeyboardInterrupt from None
        if store:
            with opened(store) as opened_store:
                keep_scores(opened_store, network, space, found, reporter)
    inside, outside = found[: len(chosen)], found[len(chosen) :]
    document: list[dict[str, Any]] = [
        {"shape": list(one.widths), "perplexity": one.perplexity, "parameters": network.parameters(one.widths)}
        | ({"alone": outside[number].perplexity} if outside else {})
        for number, one in enumerate(inside)
    ]
    if json:
        print_json({"mark": network.mark, "rows": inside[0].rows, "shapes": document})
        return
    for one in document:
        outer = f"  alone {one['alone']:.3f}" if alone else ""
        shown = ",".join(map(str, one["shape"]))
        output.print(f"{shown}  perplexity {one['perplexity']:.3f}{outer}  {one['parameters']:,} parameters merged")


@group.command()
def extract(
    folder: FolderArgument,
    shape: Annotated[str, typer.Argument(help="The shape, as 16,32,48,64.")],
    out: Annotated[Path, typer.Argument(help="A new or empty folder to write into.")],
    merged: Annotated[bool, typer.Option("--merged", help="Merge the bottlenecks between layers.")] = False,
    task: Annotated[str, typer.Option("--task", help="Fine-tune it on this task first.")] = "",
    data: DataOption = None,
    recipe: RecipeOption = "nano",
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option("--threads", help="Processor threads.", min=1, max=256)] = 1,
    json: JsonOption = False,
) -> None:
    """Extract a shape from a super-network into a folder that transformers loads, optionally merged and fine-tuned."""
    import torch

    from explorer.supershaper.alone import extract_to, finetune_to
    from explorer.supershaper.folder import open_folder
    from explorer.training.files import check_new
    from explorer.training.loop import TrainingStopped, best_device
    from explorer.training.recipe import recipe_named

    if data is not None and not task:
        raise InputError("--data", "come with --task", str(data), "Name a task, or leave it out.")
    tuning = recipe_named(recipe)
    check_new(out)
    torch.set_num_threads(threads)
    document: dict[str, Any] = {}
    with progress_reporter() as reporter, _stoppable() as should_stop:
        network = open_folder(folder, best_device(), _reporting(reporter, "text"))
        widths = shape_of(network.settings.plan, shape)
        if task:
            total = tuning.task_steps

            def on_step(step: int, loss: float) -> None:
                reporter.update("fine-tuning", step, total, f"loss {loss:.3f}")

            settings = (task, data, tuning, seed, _reporting(reporter, "task"), on_step, should_stop)
            try:
                tuned, result = finetune_to(network, widths, out, merged, *settings)
            except TrainingStopped:
                raise KeyboardInterrupt from None
            model: FlexiBertPreTrainedModel = tuned
            levels = asdict(result.baseline)
            document = {"task": task, "value": result.value, **levels, "metrics": result.singles}
        else:
            model = extract_to(network, widths, out, merged)
    counted = sum(parameter.numel() for parameter in model.base_model.parameters())
    shown = {"shape": list(widths), "folder": str(out), "merged": merged, "class": type(model).__name__}
    document = {**shown, "parameters": counted, **document}
    if json:
        print_json(document)
        return
    scored = ""
    if task:
        scored = f", {task} {result.value:.4f} ({levels_text(result.value, **levels)})"
    output.print(f"{shape}: {counted:,} parameters{scored}, written to {out}", soft_wrap=True, markup=False)


def _reporting(reporter: Reporter, phase: str) -> Any:
    return lambda share, note: reporter.update(phase, round(share, 3), 1, note)


@contextmanager
def _stoppable() -> Iterator[Any]:
    """Make Ctrl-C and SIGTERM request a checkpoint and a stop; yield a function that reports the request.

    A second signal stops immediately.
    """
    asked = threading.Event()
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    try:
        for one in before:
            signal.signal(one, ask)
        yield asked.is_set
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if asked.is_set():
        raise KeyboardInterrupt
