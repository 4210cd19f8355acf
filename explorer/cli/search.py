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
    say,
)
from explorer.cli.executors import ExecutorOptions
from explorer.cli.options import with_options, words_of
from explorer.cli.search_options import ConstraintOption, SearchOptions
from explorer.cli.search_studies import enqueue, export, extend, listed, status, stop
from explorer.cli.studies import print_reports
from explorer.errors import InputError
from explorer.studies.executors.contract import Executor
from explorer.studies.jobs import (
    SEARCH,
    JobReporter,
    launch,
    new_job,
    resume_arguments,
    running_job,
    wait_until_free,
)
from explorer.studies.managing import find_study, open_studies, prepare_resume
from explorer.studies.reports import finished_report
from explorer.studies.spec import Known, StudySpec
from explorer.studies.stages import run_stages, run_study
from graphstore import GraphStore
from graphstore.records import JobRecord, StudyRecord

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
        studies = _opened_studies(opened_store, options, place, job)
        reports = _run_here(opened_store, studies, place, trainers, job)
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
        studies = _opened_studies(opened_store, options, place, "")
        if wait:
            reports = _run_here(opened_store, studies, place, trainers, "")
        else:
            launched = _launch(opened_store, studies, trainers)
    if wait:
        _show(reports, json)
    else:
        _show_launched(studies, launched, json)


@group.command()
@with_options
def resume(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The study, or several to run in turn.")],
    trainers: ExecutorOptions,
    constraint: ConstraintOption = None,
    wait: WaitOption = False,
    store: StoreOption = DEFAULT_STORE,
    job: JobOption = "",
    json: JsonOption = False,
) -> None:
    """Resume studies that were stopped or interrupted, with their own choices; constraints given here tighten them."""
    place = trainers.make()
    with opened(store, create=False) as opened_store, place:
        known = [_is_known(find_study(opened_store, name)) for name in names]
        wait_until_free(opened_store, names, job, say)
        if not all(known):
            place.check(opened_store.url)
        studies = prepare_resume(opened_store, names, constraint or (), job)
        if wait:
            reports = _run_here(opened_store, studies, place, trainers, job)
        else:
            launched = _launch(opened_store, studies, trainers)
    if wait:
        _show(reports, json)
    else:
        _show_launched(studies, launched, json)


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


def _opened_studies(store: GraphStore, options: SearchOptions, place: Executor, job: str) -> list[StudyRecord]:
    """Store the studies to run, after all checks that are possible before a start."""
    specs = options.specs(store)
    wait_until_free(store, [spec.name for spec in specs], job, say)
    if not options.from_scores:
        place.check(store.url)
    return open_studies(store, specs)


def _launch(store: GraphStore, studies: Sequence[StudyRecord], trainers: ExecutorOptions) -> JobRecord:
    """Run stored studies by a job in the background."""
    names = [study.name for study in studies]
    return launch(store, SEARCH, resume_arguments(names, words_of(trainers)), {"studies": names})


def _run_here(
    store: GraphStore, studies: Sequence[StudyRecord], place: Executor, trainers: ExecutorOptions, job: str
) -> list[dict[str, Any]]:
    """Run studies one after another as one job of this process, and return their reports."""
    names = [study.name for study in studies]
    info = {"studies": names, "arguments": resume_arguments(names, words_of(trainers))}
    record = find_job(store, job) if job else new_job(store, SEARCH, info)
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

    return run_stages(store, study, lambda one: run_study(store, one, place, reporter, stop), reporter, stop)


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
