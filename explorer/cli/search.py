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
from explorer.cli.studies import finished_report, print_reports
from explorer.errors import InputError
from explorer.runner.candidates import known_objective
from explorer.runner.jobs import new_job, require_free, running_job
from explorer.runner.library import is_ready
from explorer.runner.progress import Reporter
from explorer.runner.studies import StudyPlan, open_study, run_known
from explorer.runner.training import check_training, run_trained
from explorer.search.registry import WITH_INITIAL_DESIGN
from graphstore import GraphStore

MAX_WORKERS = 64
DEFAULT_RECIPE = "nano"
DEFAULT_BATCH = 5
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
    batch: Annotated[int | None, typer.Option("--batch", help="Trials per ask, with --from-scores; default 5.")] = None,
    fidelity: Annotated[
        str | None, typer.Option("--fidelity", help="Which kind of scores, with --from-scores, if there are several.")
    ] = None,
    tasks: TaskOption = None,
    data: DataOption = None,
    recipe: RecipeOption = DEFAULT_RECIPE,
    workers: Annotated[int, typer.Option("--workers", help="Trainings at the same time.")] = 2,
    store: StoreOption = DEFAULT_STORE,
    job: JobOption = "",
    json: JsonOption = False,
) -> None:
    """Search a space for its best architecture, by real training or on known scores.

    Run the same command again to go on with an interrupted study.
    """
    policies = list(dict.fromkeys(policy or ["boshnas"]))
    _check_options(policies, study, workers, batch, initial)
    if from_scores and (tasks or data or recipe != DEFAULT_RECIPE):
        raise InputError("--from-scores", "come without --task, --data and --recipe", True, "Nothing is trained then.")
    if not from_scores and (batch is not None or fidelity is not None):
        raise InputError("--batch and --fidelity", "come with --from-scores", batch or fidelity, "Leave them out.")
    settings: dict[str, Any] = {"from_scores": from_scores}
    settings |= {"batch": batch or DEFAULT_BATCH} if from_scores else training_settings(tasks, data, recipe)
    settings |= {"fidelity": fidelity} if fidelity is not None else {}
    settings |= {"initial": initial} if initial is not None else {}
    plans = []
    for name in policies:
        title = study or f"{space}-{objective}-{name}-seed{seed}"
        plans.append(StudyPlan(title, space, name, objective, seed, budget, settings))
    with opened(store, create=False) as opened_store:
        if not is_ready(opened_store, space):
            known = ", ".join(s.name for s in opened_store.spaces()) or "none yet"
            raise InputError("--space", f"be a built space ({known})", space, f"Run `archex space build {space}`.")
        if from_scores:
            known_objective(opened_store, space, objective, fidelity)
        else:
            check_training(settings, objective)
        require_free(opened_store, [plan.name for plan in plans], job)
        info = {"studies": [p.name for p in plans], "arguments": resume_arguments()}
        record = find_job(opened_store, job) if job else new_job(opened_store, "search", info)
        with progress_reporter() as bars, running_job(opened_store, record, bars) as reporter:
            reports = [_run(opened_store, plan, workers, reporter) for plan in plans]
    if json:
        print_json({"studies": reports})
    else:
        print_reports(reports)


def _check_options(policies: list[str], study: str, workers: int, batch: int | None, initial: int | None) -> None:
    if study and len(policies) > 1:
        raise InputError("--study", "be left out when several policies are compared", study, "Leave it out.")
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError("--workers", f"be from 1 to {MAX_WORKERS}", workers, "Use one or two per core.")
    if batch is not None and not 1 <= batch <= 100:
        raise InputError("--batch", "be from 1 to 100", batch, "Choose another batch size.")
    if initial is not None and not 1 <= initial <= 1000:
        raise InputError("--initial", "be from 1 to 1000", initial, "Choose another number.")
    if initial is not None and not set(policies) & set(WITH_INITIAL_DESIGN):
        raise InputError("--initial", f"come with {' or '.join(WITH_INITIAL_DESIGN)}", initial, "Leave it out.")


def _run(store: GraphStore, plan: StudyPlan, workers: int, reporter: Reporter) -> dict[str, Any]:
    record = open_study(store, plan)
    if plan.settings["from_scores"]:
        record = run_known(store, record, reporter, lambda: False)
    else:
        record = run_trained(store, record, workers, reporter, lambda: False)
    return finished_report(store, record)
