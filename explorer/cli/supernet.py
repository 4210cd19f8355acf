"""``archex supernet``: one trained model that holds every shape of a backbone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from explorer.cli.console import JsonOption, SeedOption, opened, output, print_json, progress_reporter
from explorer.cli.search_options import DataOption, RecipeOption
from explorer.errors import InputError
from explorer.measure.size import parameters
from explorer.progress import Reporter
from explorer.space.backbones import BERT_BASE, WIDTHS, Backbone, parse_widths

if TYPE_CHECKING:
    from explorer.models import FlexiBertPreTrainedModel
    from explorer.supershaper.folder import OpenSuperNetwork, SuperSettings
    from explorer.training.recipe import Recipe

group = typer.Typer(no_args_is_help=True)
BACKBONES = {
    "nano": Backbone(hidden=64, heads=4, feed_forward=256, layers=4),
    "bert-mini": Backbone(hidden=256, heads=4, feed_forward=1024, layers=4),
    "base": BERT_BASE,
}
NANO_RATE, USUAL_RATE, USUAL_LENGTH, USUAL_VOCABULARY = 1e-3, 2e-4, 128, 28_996
MOST_SHAPES = 20_000
SAMPLED = 2
FolderArgument = Annotated[Path, typer.Argument(help="The super-network's folder.")]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="EXPLORER_STORE",
        help="Keep the scores in this store too: sqlite:///FILE or neo4j://HOST:7687.",
    ),
]


@group.callback()
def supernet() -> None:
    """Train a super-network, evaluate shapes inside it, and take one out as a model of its own."""


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
        typer.Option("--text", help="A text file, or a folder with train.txt and valid.txt; else the usual text."),
    ] = None,
    bert: Annotated[
        Path | None, typer.Option("--from", help="Start from this BERT's weights and vocabulary: its folder.")
    ] = None,
    distil: Annotated[
        float, typer.Option("--distil", help="Share of the smaller shapes' loss that the largest one teaches, 0 to 1.")
    ] = 0.0,
    sampled: Annotated[
        int, typer.Option("--sampled", help="Random shapes of each step besides the largest and the smallest.")
    ] = SAMPLED,
    recipe: Annotated[str, typer.Option("--recipe", help="Batches, rates and so on: a name or a YAML file.")] = "",
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option("--threads", help="Processor threads to train with.", min=1, max=256)] = 1,
    json: JsonOption = False,
) -> None:
    """Super-pre-train every shape of a backbone at once; on a GPU where there is one.

    Interrupt it whenever you like: the same command goes on where it was. Without any option it goes on with the
    settings that the folder has.
    """
    import torch

    from explorer.supershaper.folder import MODEL, last_loss, open_folder, stored_settings, train_folder
    from explorer.training.loop import TrainingStopped, best_device

    asked = backbone or widths or steps is not None or text or bert or distil or sampled != SAMPLED or recipe or seed
    settings = None if asked else stored_settings(folder)
    if settings is None:
        settings = _settings(backbone or "nano", widths, steps, text, bert, distil, sampled, recipe, seed)
    torch.set_num_threads(threads)
    total = settings.plan.recipe.pretrain_steps
    with progress_reporter() as reporter, _stoppable() as should_stop:

        def on_step(step: int, loss: float) -> None:
            reporter.update("super-training", step, total, f"loss {loss:.3f}")

        try:
            train_folder(folder, settings, best_device(), _told(reporter, "text"), on_step, should_stop)
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
    sample: Annotated[int, typer.Option("--sample", help="Random shapes to evaluate besides.", min=0)] = 0,
    rows: Annotated[int, typer.Option("--rows", help="Held-out rows to evaluate on.", min=1, max=1_000_000)] = 256,
    alone: Annotated[
        int, typer.Option("--alone", help="Train each shape alone from scratch too, for so many steps.", min=0)
    ] = 0,
    space: Annotated[str, typer.Option("--space", help="With --store: the space that the shapes go into.")] = "shapes",
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option("--threads", help="Processor threads.", min=1, max=256)] = 1,
    store: StoreOption = "",
    json: JsonOption = False,
) -> None:
    """Masked-LM perplexity of shapes inside a super-network, on text that it has not seen."""
    import torch

    from explorer.studies.supernet import ShapeScore, check_space, keep_scores
    from explorer.supershaper.alone import train_alone
    from explorer.supershaper.evaluation import HeldOut, perplexities
    from explorer.supershaper.folder import open_folder
    from explorer.training.loop import TrainingStopped, best_device

    torch.set_num_threads(threads)
    with progress_reporter() as reporter, _stoppable() as should_stop:
        network = open_folder(folder, best_device(), _told(reporter, "text"))
        plan = network.settings.plan
        chosen = _chosen(network, shapes or [], sample, seed)
        if store:
            with opened(store) as opened_store:
                check_space(opened_store, network, space, chosen)
        held_out = HeldOut.of(network.text, plan.recipe.pretrain_length, rows)

        def on_shape(done: int) -> None:
            reporter.update("evaluating", done, len(chosen))
            if should_stop():
                raise KeyboardInterrupt

        inside = perplexities(network.network, chosen, held_out, on_shape)
        found = [ShapeScore(*pair, held_out.rows) for pair in zip(chosen, inside, strict=True)]
        outside: list[float] = []

        def on_step(step: int, loss: float) -> None:
            done = round(len(outside) + step / alone, 2)
            reporter.update("training alone", done, len(chosen), f"loss {loss:.3f}")

        for row in chosen if alone else []:
            try:
                outside.append(train_alone(network, row, alone, seed, held_out, on_step, should_stop))
            except TrainingStopped:
                raise KeyboardInterrupt from None
            found.append(ShapeScore(row, outside[-1], held_out.rows, (alone, seed)))
        if store:
            with opened(store) as opened_store:
                keep_scores(opened_store, network, space, found, reporter)
    document: list[dict[str, Any]] = [
        {"shape": list(row), "perplexity": value, "parameters": _sizes(network, row)}
        | ({"alone": outside[number]} if alone else {})
        for number, (row, value) in enumerate(zip(chosen, inside, strict=True))
    ]
    if json:
        print_json({"mark": network.mark, "rows": held_out.rows, "shapes": document})
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
    """Take a shape out of a super-network as a folder that transformers loads, on wish merged and fine-tuned."""
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
        network = open_folder(folder, best_device(), _told(reporter, "text"))
        widths = _shape(network, shape)
        if task:
            total = tuning.task_steps

            def on_step(step: int, loss: float) -> None:
                reporter.update("fine-tuning", step, total, f"loss {loss:.3f}")

            settings = (task, data, tuning, seed, _told(reporter, "task"), on_step, should_stop)
            try:
                tuned, result = finetune_to(network, widths, out, merged, *settings)
            except TrainingStopped:
                raise KeyboardInterrupt from None
            model: FlexiBertPreTrainedModel = tuned
            document = {"task": task, "value": result.value, "metrics": result.singles}
        else:
            model = extract_to(network, widths, out, merged)
    counted = sum(parameter.numel() for parameter in model.base_model.parameters())
    shown = {"shape": list(widths), "folder": str(out), "merged": merged, "class": type(model).__name__}
    document = {**shown, "parameters": counted, **document}
    if json:
        print_json(document)
        return
    scored = f", {task} {document['value']:.4f}" if task else ""
    output.print(f"{shape}: {counted:,} parameters{scored}, written to {out}", soft_wrap=True, markup=False)


def _settings(
    backbone: str,
    widths: str,
    steps: int | None,
    text: Path | None,
    bert: Path | None,
    distil: float,
    sampled: int,
    recipe: str,
    seed: int,
) -> SuperSettings:
    """What the options of ``train`` say. Raises InputError."""
    from explorer.supershaper.folder import SuperSettings
    from explorer.supershaper.training import SuperPlan
    from explorer.training.recipe import recipe_named

    found = _backbone(backbone)
    chosen = recipe_named(recipe) if recipe else _usual_recipe(found)
    if steps is not None:
        chosen = replace(chosen, pretrain_steps=steps)
    if bert is not None:
        chosen = replace(chosen, length=_positions(bert))
    for name, path in (("--text", text), ("--from", bert)):
        if path is not None and not path.exists():
            raise InputError(name, "be there", str(path), "Check the path.")
    plan = SuperPlan(found, _widths(found, widths), chosen, seed, sampled, distil)
    return SuperSettings(plan, str(text.resolve()) if text else "", str(bert.resolve()) if bert else "")


def _backbone(text: str) -> Backbone:
    """A backbone by name or as ``12x768``; its heads are 64 wide, but at least four, its feed-forward four times it."""
    if text in BACKBONES:
        return BACKBONES[text]
    layers, x, hidden = text.partition("x")
    if not (x and all(part.isascii() and part.isdigit() and len(part) <= 5 for part in (layers, hidden))):
        rule = f"be {', '.join(BACKBONES)} or LAYERSxHIDDEN"
        raise InputError("--backbone", rule, text, "Write for example 12x768.")
    width = int(hidden)
    backbone = Backbone(width, max(4, width // 64), 4 * width, int(layers))
    backbone.spec([width] * backbone.layers)
    return backbone


def _widths(backbone: Backbone, text: str) -> tuple[int, ...]:
    if not text:
        quarters = (backbone.hidden * part // 4 for part in (1, 2, 3, 4))
        usual = (width // backbone.heads * backbone.heads for width in quarters)
        return WIDTHS if backbone == BERT_BASE else tuple(sorted(set(usual)))
    found = parse_widths(text)
    if found is None:
        raise InputError("--widths", "be whole numbers with commas between them", text, "Write for example 16,32,64.")
    return found


def _usual_recipe(backbone: Backbone) -> Recipe:
    from explorer.training.recipe import RECIPES

    if backbone.hidden < 128:
        return replace(RECIPES["nano"], pretrain_rate=NANO_RATE)
    return replace(
        RECIPES["paper"],
        pretrain_steps=10_000,
        pretrain_rate=USUAL_RATE,
        pretrain_length=USUAL_LENGTH,
        length=USUAL_LENGTH,
        vocab_size=USUAL_VOCABULARY,
    )


def _positions(bert: Path) -> int:
    """Positions that a BERT knows. Raises DataError."""
    import json

    from explorer.training.files import intact, read_text

    with intact(bert / "config.json", "Name the folder that save_pretrained wrote."):
        return int(json.loads(read_text(bert / "config.json", "--from"))["max_position_embeddings"])


def _shape(network: OpenSuperNetwork, text: str) -> tuple[int, ...]:
    widths = parse_widths(text)
    backbone = network.settings.plan.backbone
    if widths is None:
        rule = f"be {backbone.layers} widths with commas between them"
        raise InputError("shape", rule, text, "Write for example " + ",".join([str(backbone.hidden)] * backbone.layers))
    network.settings.plan.check(widths)
    return widths


def _chosen(network: OpenSuperNetwork, shapes: list[str], sample: int, seed: int) -> list[tuple[int, ...]]:
    """The shapes to evaluate, each once; random ones come from the super-network's own widths."""
    import numpy as np

    plan, rng = network.settings.plan, np.random.default_rng(seed)
    most = min(MOST_SHAPES, len(plan.widths) ** plan.backbone.layers - len(shapes))
    if not (shapes or sample) or sample > most:
        rule = f"be named, or sampled: at most {most}"
        raise InputError("shapes", rule, sample, "Name some, or give --sample N.")
    chosen = dict.fromkeys(_shape(network, text) for text in shapes)
    wanted = len(chosen) + sample
    while len(chosen) < wanted:
        chosen[tuple(map(int, rng.choice(plan.widths, plan.backbone.layers)))] = None
    return list(chosen)


def _sizes(network: OpenSuperNetwork, widths: tuple[int, ...]) -> int:
    prepared = network.text.prepared
    return parameters(network.settings.plan.backbone.spec(widths), prepared.vocab_size, prepared.length, merged=True)


def _told(reporter: Reporter, phase: str) -> Any:
    return lambda share, note: reporter.update(phase, round(share, 3), 1, note)


@contextmanager
def _stoppable() -> Iterator[Any]:
    """Let Ctrl-C and SIGTERM ask a training to write a checkpoint and stop; yields what tells whether they did.

    A second one stops at once.
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
