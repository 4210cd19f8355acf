"""``archex train``: train and score one architecture."""

from __future__ import annotations

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
from explorer.cli.search import DataOption, RecipeOption, TaskOption, training_settings
from explorer.errors import InputError
from explorer.graphs import architecture_id
from explorer.records import TaskScore
from explorer.runner.library import build_library
from explorer.runner.progress import SilentReporter
from explorer.runner.training import TrainingChoices, check_training
from explorer.runner.worker import score_record
from explorer.runner.workplace import data_cache, run_folder
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.errors import StoreInputError

OWN_SPACE = "own"
"""Where an architecture goes that is in no space yet."""


def _ensure_stored(store: GraphStore, spec: ArchitectureSpec) -> str:
    id = architecture_id(spec)
    try:
        store.architecture(id)
    except StoreInputError:
        build_library(
            store, OWN_SPACE, [spec], SilentReporter(), source={"from": "you"}, title="Architectures you brought in"
        )
    return id


def train(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    tasks: TaskOption = None,
    data: DataOption = None,
    recipe: RecipeOption = "nano",
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option("--threads", help="Processor threads to train with.", min=1, max=256)] = 1,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Pre-train one architecture, fine-tune it on each task and store its scores.

    Interrupt it whenever you like: the same command goes on where it was.
    """
    if not 0 <= seed < 2**31:
        raise InputError("--seed", "be from 0 to 2147483647", seed, "Choose another seed.")
    spec = resolve_spec(model, store)
    settings = training_settings(tasks, data, recipe)
    check_training(settings, "mean")
    choices = TrainingChoices.from_settings(settings)
    with opened(store) as opened_store, progress_reporter() as reporter:
        prepared = choices.prepare(data_cache(opened_store.url), reporter)
        import torch

        from explorer.training.backend import train_and_score

        torch.set_num_threads(threads)
        id = _ensure_stored(opened_store, spec)
        run = choices.run_digest(prepared, id, seed)
        source = f"trained:train/{run}"

        def keep(score: TaskScore) -> None:
            opened_store.add_scores([score_record(score, id, source)])
            reporter.update(score.task, 1, 1, f"{score.metric} {score.value:.4f}")

        folder = run_folder(opened_store.url, "train", run)
        scores = train_and_score(
            spec,
            prepared,
            choices.recipe,
            seed=seed,
            folder=folder,
            on_progress=lambda share, note: reporter.update("training", round(share, 3), 1, note),
            on_score=keep,
            should_stop=lambda: False,
        )
        opened_store.add_scores([score_record(score, id, source) for score in scores])
    rows = [{"task": s.task, "metric": s.metric, "value": s.value, "seconds": s.seconds} for s in scores]
    if json:
        print_json({"id": id, "scores": rows, "fidelity": scores[0].fidelity, "seed": seed, "folder": str(folder)})
    else:
        for score in scores:
            output.print(f"{score.task}: {score.metric} {score.value:.4f} ({score.seconds:.0f} s)")
        output.print(f"The models are in {folder}, one folder per task", soft_wrap=True, markup=False)
