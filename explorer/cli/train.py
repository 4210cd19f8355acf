"""``archex train``: train and score one architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
from explorer.cli.resolve import resolve_spec
from explorer.cli.search_options import (
    DataOption,
    OverlapOption,
    RecipeOption,
    TaskFileOption,
    TaskOption,
    TransferOption,
    trained,
)
from explorer.errors import InputError
from explorer.studies.evaluation import train_single
from explorer.studies.trained import check_training
from explorer.training.metrics import levels_text


def train(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    tasks: TaskOption = None,
    data: DataOption = None,
    task_file: TaskFileOption = None,
    recipe: RecipeOption = "nano",
    transfer: TransferOption = None,
    overlap: OverlapOption = None,
    source_model: Annotated[
        str, typer.Option("--from", help="With --transfer: take the weights of this id or model folder.")
    ] = "",
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option("--threads", help="Processor threads to train with.", min=1, max=256)] = 1,
    processes: Annotated[
        int, typer.Option("--processes", help="Processes that share the pre-training, one per GPU.", min=1, max=64)
    ] = 1,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Pre-train one architecture, fine-tune it on each task and store its scores.

    The same command resumes an interrupted training.
    """
    if not 0 <= seed < 2**31:
        raise InputError("--seed", "be from 0 to 2147483647", seed, "Choose another seed.")
    spec = resolve_spec(model, store)
    if source_model and (transfer is None or overlap is not None):
        raise InputError("--from", "come with --transfer and without --transfer-overlap", source_model, "Correct it.")
    evaluation = trained(tasks, data, recipe, task_file, transfer, overlap)
    check_training(evaluation, "mean")  # Before the store is opened, which creates its file.
    donor = None
    if source_model:
        donor = source_model if Path(source_model).is_dir() else resolve_spec(source_model, store)
    with opened(store) as opened_store, progress_reporter() as reporter:
        done = train_single(opened_store, spec, evaluation, seed, reporter, donor, threads, processes)
    kept = ("task", "metric", "value", "spread", "majority", "chance", "seconds")
    rows = [{name: getattr(score, name) for name in kept} for score in done.scores]
    if json:
        fidelity, folder = done.scores[0].fidelity, str(done.run.folder)
        print_json({"id": done.id, "scores": rows, "fidelity": fidelity, "seed": seed, "folder": folder})
    else:
        for score in done.scores:
            spread = "" if score.spread is None else f" ± {score.spread:.4f}"
            levels = levels_text(score.value, score.majority, score.chance)
            line = f"{score.task}: {score.metric} {score.value:.4f}{spread} ({score.seconds:.0f} s)"
            output.print(line + (f"; {levels}" if levels else ""), soft_wrap=True, markup=False)
        output.print(f"The models are in {done.run.folder}, one folder per task", soft_wrap=True, markup=False)
