"""``archex search``: start or resume a study, here or in the background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

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
    say,
)
from explorer.cli.executors import ExecutorOptions
from explorer.cli.options import with_options
from explorer.cli.search_options import ConstraintOption, SearchOptions
from explorer.cli.search_studies import enqueue, export, extend, listed, status, stop
from explorer.cli.studies import finished_report, print_reports
from explorer.errors import InputError
from explorer.studies.driver import run_known
from explorer.studies.executors.contract import Executor
from explorer.studies.jobs import JobReporter, launch, new_job, running_job, wait_until_free
from explorer.studies.managing import check_resumable, find_study, open_study, tighten_study
from explorer.studies.spec import Known, StudySpec
from explorer.studies.stages import run_stages
from explorer.studies.trained import run_trained
from graphstore import GraphStore
from graphstore.records import JobRecord, StudyRecord, StudyState

group = typer.Typer(invoke_without_command=True, add_completion=False)
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait until it has ended, instead of running it in the background.")
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

    Without a subcommand it waits until the search has ended; the same command again resumes an interrupted study.
    The subcommands run studies in the background, and manage studies that were started either way.
    """
    if context.invoked_subcommand is not None:
        sources = {name: context.get_parameter_source(name) for name in context.params}
        given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
        if given:
            rule = f"come after {context.invoked_subcommand}"
            raise InputError("options", rule, ", ".join(given), "Write the subcommand first.")
        return
    place = _checked_place(options, trainers)
    with opened(store, create=False) as opened_store, place:
        specs = _checked_specs(opened_store, options, place, job)
        reports = _run_here(opened_store, [open_study(opened_store, spec) for spec in specs], place, job)
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
    """Start a search in the background, and print the study's name and the job's id.

    The search continues when this command or the terminal ends: see `archex search status NAME`.
    """
    place = _checked_place(options, trainers)
    with opened(store, create=False) as opened_store, place:
        specs = _checked_specs(opened_store, options, place, "")
        studies = [open_study(opened_store, spec) for spec in specs]
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
    """Resume a study that was stopped or interrupted, with its own choices; constraints given here tighten it."""
    place = trainers.make()
    with opened(store, create=False) as opened_store, place:
        study = find_study(opened_store, name)
        wait_until_free(opened_store, [name], job, say)
        if not _is_known(study):
            place.check(opened_store.url)
        check_resumable(study)
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


def _is_known(study: StudyRecord) -> bool:
    return isinstance(StudySpec.of(study).evaluation, Known)


def _checked_specs(store: GraphStore, options: SearchOptions, place: Executor, job: str) -> list[StudySpec]:
    """Return the studies to run, after all checks that are possible before a start."""
    specs = options.specs(store)
    for spec in specs:
        spec.check(store)
    wait_until_free(store, [spec.name for spec in specs], job, say)
    if not options.from_scores:
        place.check(store.url)
    return specs


def _run_here(store: GraphStore, studies: Sequence[StudyRecord], place: Executor, job: str) -> list[dict[str, Any]]:
    """Run studies one after another as one job of this process, and return their reports."""
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
        if _is_known(one):
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
