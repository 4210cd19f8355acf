"""``archex search``: start a study, or go on with one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from explorer.cli.console import (
    DEFAULT_STORE,
    JobOption,
    JsonOption,
    SeedOption,
    StoreOption,
    find_job,
    opened,
    print_json,
    progress_reporter,
    resume_arguments,
)
from explorer.cli.studies import print_reports, study_report
from explorer.errors import InputError
from explorer.runner.jobs import new_job, running_job
from explorer.runner.library import is_ready
from explorer.runner.progress import Reporter
from explorer.runner.studies import StudyPlan, open_study, run_known
from explorer.runner.training import TrainingChoices, run_trained
from graphstore import GraphStore

MAX_WORKERS = 64
TaskOption = Annotated[
    list[str] | None,
    typer.Option("--task", help="Downstream task; repeat for several. Default: three of the text's own."),
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder with GLUE-format tasks.")]
RecipeOption = Annotated[str, typer.Option("--recipe", help="How to train: nano, or quick for a trial run.")]


def training_settings(tasks: list[str] | None, data: Path | None, recipe: str) -> dict[str, Any]:
    """Training choices as a study keeps them; paths are made absolute, so that it can be resumed from anywhere."""
    return {"recipe": recipe, "tasks": list(tasks or ()), "data": str(data.resolve()) if data else None}


def search(
    space: Annotated[str, typer.Option("--space", help="The space to search; it must be built.")] = "nano",
    policy: Annotated[
        list[str] | None, typer.Option("--policy", help="boshnas, random or evolution; repeat to compare.")
    ] = None,
    objective: Annotated[
        str, typer.Option("--objective", help="Task to maximise; mean is the mean over tasks.")
    ] = "mean",
    budget: Annotated[int, typer.Option("--budget", help="Number of trials; more than before extends a study.")] = 8,
    seed: SeedOption = 0,
    study: Annotated[str, typer.Option("--study", help="Name of the study, to go on with it later.")] = "",
    from_scores: Annotated[
        bool, typer.Option("--from-scores", help="Use the scores in the store instead of training.")
    ] = False,
    initial: Annotated[int | None, typer.Option("--initial", help="Trials before BOSHNAS's surrogate chooses.")] = None,
    batch: Annotated[int, typer.Option("--batch", help="Trials per ask, with --from-scores.")] = 5,
    tasks: TaskOption = None,
    data: DataOption = None,
    recipe: RecipeOption = "nano",
    workers: Annotated[int, typer.Option("--workers", help="Trainings at the same time.")] = 2,
    store: StoreOption = DEFAULT_STORE,
    job: JobOption = "",
    json: JsonOption = False,
) -> None:
    """Search a space for its best architecture, by real training or on known scores.

    Run the same command again to go on with an interrupted study.
    """
    policies = policy or ["boshnas"]
    if study and len(policies) > 1:
        raise InputError("--study", "be left out when several policies are compared", study, "Leave it out.")
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError("--workers", f"be from 1 to {MAX_WORKERS}", workers, "Use one or two per core.")
    if not 1 <= batch <= 100:
        raise InputError("--batch", "be from 1 to 100", batch, "Choose another batch size.")
    if initial is not None and not 1 <= initial <= 1000:
        raise InputError("--initial", "be from 1 to 1000", initial, "Choose another number.")
    settings: dict[str, Any] = {"from_scores": True, "batch": batch} if from_scores else {"from_scores": False}
    if not from_scores:
        settings |= training_settings(tasks, data, recipe)
        TrainingChoices.from_settings(settings)
    if initial is not None:
        settings["initial"] = initial
    plans = []
    for name in policies:
        title = study or f"{space}-{objective}-{name}-seed{seed}"
        plans.append(StudyPlan(title, space, name, objective, seed, budget, settings))
    with opened(store, create=False) as opened_store:
        if not is_ready(opened_store, space):
            known = ", ".join(s.name for s in opened_store.spaces()) or "none yet"
            raise InputError("--space", f"be a built space ({known})", space, f"Run `archex space build {space}`.")
        info = {"studies": [p.name for p in plans], "arguments": resume_arguments()}
        record = find_job(opened_store, job) if job else new_job(opened_store, "search", info)
        with progress_reporter() as bars, running_job(opened_store, record, bars) as reporter:
            reports = [_run(opened_store, plan, workers, reporter) for plan in plans]
    if json:
        print_json({"studies": reports})
    else:
        print_reports(reports)


def _run(store: GraphStore, plan: StudyPlan, workers: int, reporter: Reporter) -> dict[str, Any]:
    record = open_study(store, plan)
    if plan.settings["from_scores"]:
        record = run_known(store, record, reporter, lambda: False)
    else:
        record = run_trained(store, record, workers, reporter, lambda: False)
    return study_report(store, record)
