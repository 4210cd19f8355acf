"""``archex train``: train and score one architecture."""

from __future__ import annotations

from dataclasses import replace
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
from explorer.library.records import score_record
from explorer.library.sources import SINGLE, run_source
from explorer.library.spaces import add_architecture
from explorer.library.workplace import data_cache, run_folder
from explorer.records import TaskScore
from explorer.similarity.graph import architecture_id
from explorer.studies.donors import donor_from, donor_mark, first_weights, record_lineage
from explorer.studies.trained import TrainingChoices, check_training


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
    check_training(evaluation, "mean")
    choices = TrainingChoices.of(evaluation)
    with opened(store) as opened_store, progress_reporter() as reporter:
        prepared = choices.prepare(data_cache(opened_store.url), reporter)
        import torch

        from explorer.training.backend import train_and_score

        torch.set_num_threads(threads)
        id = architecture_id(spec)
        add_architecture(opened_store, spec)
        donor = None
        if source_model:
            wanted = source_model if Path(source_model).is_dir() else resolve_spec(source_model, store)
            donor = donor_from(opened_store, spec, wanted, prepared.text)
            add_architecture(opened_store, donor.spec)
            choices = replace(choices, recipe=replace(choices.recipe, transfer_donor=donor_mark(donor)))
        run = choices.run_digest(prepared, id, seed)
        source = run_source(run)

        def keep(score: TaskScore) -> None:
            opened_store.add_scores([score_record(score, id, source)])
            reporter.update(score.task, 1, 1, f"{score.metric} {score.value:.4f}")

        folder = run_folder(opened_store.url, SINGLE, run)
        scores = train_and_score(
            spec,
            prepared,
            choices.recipe,
            seed=seed,
            folder=folder,
            on_progress=lambda share, note: reporter.update("training", round(share, 3), 1, note),
            on_score=keep,
            should_stop=lambda: False,
            processes=processes,
            initialise=first_weights(opened_store, spec, choices.recipe, prepared.text, seed, folder, source, donor),
        )
        record_lineage(opened_store, id, folder, source)
        opened_store.add_scores([score_record(score, id, source) for score in scores])
    kept = ("task", "metric", "value", "spread", "seconds")
    rows = [{name: getattr(score, name) for name in kept} for score in scores]
    if json:
        print_json({"id": id, "scores": rows, "fidelity": scores[0].fidelity, "seed": seed, "folder": str(folder)})
    else:
        for score in scores:
            spread = "" if score.spread is None else f" ± {score.spread:.4f}"
            output.print(f"{score.task}: {score.metric} {score.value:.4f}{spread} ({score.seconds:.0f} s)")
        output.print(f"The models are in {folder}, one folder per task", soft_wrap=True, markup=False)
