"""``archex search``: start a study, or go on with one, here or in the background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from explorer.analysis.score_kinds import known_objective
from explorer.cli.console import (
    DEFAULT_STORE,
    JobOption,
    JsonOption,
    StoreOption,
    find_job,
    opened,
    output,
    print_json,
    progress_reporter,
    resume_arguments,
)
from explorer.cli.executors import ExecutorOptions
from explorer.cli.options import with_options
from explorer.cli.search_options import ConstraintOption, SearchOptions
from explorer.cli.search_studies import enqueue, export, extend, listed, status, stop
from explorer.cli.studies import finished_report, print_reports
from explorer.errors import InputError
from explorer.library.build import is_ready
from explorer.studies.driver import StudyPlan, check_policy, open_study, run_known
from explorer.studies.executors.contract import Executor
from explorer.studies.jobs import JobReporter, launch, new_job, require_free, running_job
from explorer.studies.managing import find_study, tighten_study
from explorer.studies.objectives import check_objectives
from explorer.studies.stages import check_stages, run_stages
from explorer.studies.supernet import check_shapes
from explorer.studies.trained import check_training, run_trained
from graphstore import GraphStore
from graphstore.records import JobRecord, StudyRecord, StudyState

group = typer.Typer(invoke_without_command=True, add_completion=False)
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Stay until it has ended, instead of going on in the background.")
]


@group.callback()
@with_options
def search(
    context: typer.Context,
    options: SearchOptions,
    trainers: ExecutorOptions,
    store: StoreOption = DEFAULT_STORE,
    job: JobOption = "",
    json: JsonOption = False,
) -> None:
    """Search a space for its best architecture, by real training or on known scores.

    Without a command it stays until the search has ended; the same command again goes on with an interrupted study.
    The commands work in the background and look after studies that were started either way.
    """
    if context.invoked_subcommand is not None:
        sources = {name: context.get_parameter_source(name) for name in context.params}
        given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
        if given:
            rule = f"come after {context.invoked_subcommand}"
            raise InputError("options", rule, ", ".join(given), "Write the command first.")
        return
    place = _checked_place(options, trainers)
    with opened(store, create=False) as opened_store, place:
        plans = _checked_plans(opened_store, options, place, job)
        reports = _run_here(opened_store, [open_study(opened_store, plan) for plan in plans], place, job)
    _show(reports, json)


@group.command()
@with_options
def start(
    options: SearchOptions,
    trainers: ExecutorOptions,
    wait: WaitOption = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Start a search in the background; prints the study's name and the job's id at once.

    The search outlives this command and the terminal: see `archex search status NAME`.
    """
    place = _checked_place(options, trainers)
    with opened(store, create=False) as opened_store, place:
        plans = _checked_plans(opened_store, options, place, "")
        studies = [open_study(opened_store, plan) for plan in plans]
        if wait:
            reports = _run_here(opened_store, studies, place, "")
        else:
            words = resume_arguments()
            words.remove("start")
            launched = launch(opened_store, "search", words, {"studies": [study.name for study in studies]})
    if wait:
        _show(reports, json)
    else:
        _show_launched(studies, launched, json)


@group.command()
@with_options
def resume(
    name: Annotated[str, typer.Argument(help="The study.")],
    trainers: ExecutorOptions,
    constraint: ConstraintOption = None,
    wait: WaitOption = False,
    store: StoreOption = DEFAULT_STORE,
    job: JobOption = "",
    json: JsonOption = False,
) -> None:
    """Go on with a study that was stopped or has died, with its own choices; constraints given here tighten it."""
    place = trainers.make()
    with opened(store, create=False) as opened_store, place:
        study = find_study(opened_store, name)
        if study.settings.get("external"):
            raise InputError("study", "be trained here", name, "Its trials are told by explorer.study.Study.")
        require_free(opened_store, [name], job)
        stages = study.settings.get("levels") or study.settings.get("requeries")
        if study.state is StudyState.DONE and not (constraint or stages):
            remedy = f"Run `archex search extend {name} --budget N` first."
            raise InputError("study", "have something left to do", f"{name} is done", remedy)
        if not study.settings.get("from_scores"):
            place.check(opened_store.url)
        study = tighten_study(opened_store, study, constraint or ())
        if wait:
            opened_store.update_study(name, state=StudyState.OPEN)
            reports = _run_here(opened_store, [study], place, job)
        else:
            words = [*resume_arguments(), "--wait"]
            launched = launch(opened_store, "search", words, {"studies": [name]})
    if wait:
        _show(reports, json)
    else:
        _show_launched([study], launched, json)


for command in (status, stop, extend, enqueue, export):
    group.command()(command)
group.command("list")(listed)


def _checked_place(options: SearchOptions, trainers: ExecutorOptions) -> Executor:
    place = trainers.make()
    options.check()
    if options.from_scores:
        trainers.check_untrained()
    return place


def _checked_plans(store: GraphStore, options: SearchOptions, place: Executor, job: str) -> list[StudyPlan]:
    """The studies to run, once everything that can be checked before a start was."""
    space = options.space
    if not is_ready(store, space):
        known = ", ".join(s.name for s in store.spaces()) or "none yet"
        raise InputError("--space", f"be a built space ({known})", space, f"Run `archex space build {space}`.")
    plans = options.plans(store)
    settings, objective = plans[0].settings, plans[0].objective
    if options.from_scores:
        known_objective(store, space, objective, options.fidelity)
    else:
        check_training(settings, objective)
        check_shapes(store, space, settings)
    for plan in plans:
        if options.policy_setting:
            check_policy(plan)
        check_stages(plan.name, plan.policy, plan.settings)
        check_objectives(store, space, plan.policy, plan.settings)
    require_free(store, [plan.name for plan in plans], job)
    if not options.from_scores:
        place.check(store.url)
    return plans


def _run_here(store: GraphStore, studies: Sequence[StudyRecord], place: Executor, job: str) -> list[dict[str, Any]]:
    """Run studies one after another as one job of this process; their reports."""
    info = {"studies": [study.name for study in studies], "arguments": resume_arguments()}
    record = find_job(store, job) if job else new_job(store, "search", info)
    reports: list[dict[str, Any]] = []
    with progress_reporter() as bars, running_job(store, record, bars) as reporter:
        for study in studies:
            stages = _run(store, study, place, reporter)
            reports += [finished_report(store, stage) for stage in stages]
            if reporter.stopping:
                raise KeyboardInterrupt
    return reports


def _run(store: GraphStore, study: StudyRecord, place: Executor, reporter: JobReporter) -> list[StudyRecord]:
    def stop() -> bool:
        return reporter.stopping

    def run(one: StudyRecord) -> StudyRecord:
        if one.settings.get("from_scores"):
            return run_known(store, one, reporter, stop)
        return run_trained(store, one, place, reporter, stop)

    return run_stages(store, study, run, reporter, stop)


def _show(reports: list[dict[str, Any]], json: bool) -> None:
    if json:
        print_json({"studies": reports})
    else:
        print_reports(reports)


def _show_launched(studies: Sequence[StudyRecord], job: JobRecord, json: bool) -> None:
    names = [study.name for study in studies]
    if json:
        print_json({"studies": names, "job": job.id, "log": job.log})
        return
    for name in names:
        output.print(f"study {name} in job {job.id}; see `archex search status {name}`", markup=False)
