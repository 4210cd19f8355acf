"""The subcommands of ``archex search`` that manage studies: status, stop, extend, enqueue, list, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.studies import print_reports
from explorer.errors import InputError
from explorer.studies import managing, queueing, reports
from explorer.studies.jobs import job_of, stop_job
from explorer.studies.spec import StudySpec

NameArgument = Annotated[str, typer.Argument(help="The study.")]


def status(name: NameArgument, store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Show the state of a study: trials by state, the best trial, the job that runs it, and failures with reasons."""
    with opened(store, create=False) as opened_store:
        report = reports.study_status(opened_store, managing.find_study(opened_store, name))
    if json:
        print_json(report)
    else:
        _print_status(report)


def _print_status(report: dict[str, Any]) -> None:
    facts = Table(show_header=False, box=None)
    counts = ", ".join(f"{count} {state}" for state, count in report["trials"].items() if count) or "none yet"
    hours, best, job = report["hours"], report["best"], report["job"]
    limit = "" if hours["limit"] is None else f" of {hours['limit']:g}"
    tuned = report["tuned"]
    rows = [
        ("study", f"{report['study']}: {report['policy']} on {report['space']}, {report['state']}"),
        ("objectives", ", ".join(report["objectives"] or [report["objective"]])),
        ("constraints", ", ".join(report["constraints"]) or "none"),
        ("trials", f"{counts}; budget {report['budget']}"),
        ("hours", f"{hours['used']:.2f}{limit}"),
        ("best", "none yet" if best is None else f"{best['value']:.4f} by {best['id']}, trial {best['trial']}"),
        *([("tuned", f"{tuned['value']:.4f} by {tuned['recipe']} of {tuned['id']}")] if tuned else []),
        ("run by", "no job" if job is None else _runner(job)),
    ]
    for title, text in rows:
        facts.add_row(title, escape(text))
    output.print(facts)
    if report["running"]:
        table = Table("trial", "architecture", "owner", "attempt", "done", "doing", "lease s")
        for one in report["running"]:
            cells = (str(one["trial"]), one["architecture"], one["owner"], str(one["attempt"]))
            done, doing = f"{one['progress']:.0%}", escape(one["message"] or "-")
            table.add_row(*cells, done, doing, f"{one['lease_s']:.0f}")
        output.print(table)
    if report["failures"]:
        table = Table("trial", "architecture", "state", "attempt", "reason")
        for one in report["failures"]:
            cells = (str(one["trial"]), one["architecture"], one["state"], str(one["attempt"]))
            table.add_row(*cells, escape(" ".join(one["reason"].split())))
        output.print(table)


def _runner(job: dict[str, Any]) -> str:
    beat = "no heartbeat yet" if job["heartbeat_s"] is None else f"heartbeat {job['heartbeat_s']:.0f} s ago"
    return f"job {job['id']}, {job['state']}, process {job['process']} on {job['host']}, {beat}; {job['message']}"


def stop(name: NameArgument, store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Ask the job that runs a study to stop, also on another machine; its running trials are given back.

    A job that compares several policies stops as a whole.
    """
    with opened(store, create=False) as opened_store:
        study = managing.find_study(opened_store, name)
        job = job_of(opened_store, study.name)
        if job is None:
            remedy = f"There is nothing to stop; see `archex search status {name}`."
            raise InputError("study", "be run by a job", f"{name}, which no job runs", remedy)
        job = stop_job(opened_store, job.id)
    if json:
        print_json({"study": name, "job": job.id, "state": job.state.value})
    else:
        output.print(f"job {job.id}: {job.state.value}", markup=False)


def extend(
    name: NameArgument,
    budget: Annotated[int | None, typer.Option("--budget", help="Total number of trials.")] = None,
    hours: Annotated[float | None, typer.Option("--hours", help="Total hours of trials.")] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Give a study more trials or hours. A running study continues with them; one that has ended can be resumed."""
    with opened(store, create=False) as opened_store:
        study = managing.extend_study(opened_store, managing.find_study(opened_store, name), budget, hours)
        busy = job_of(opened_store, name) is not None
    spec = StudySpec.of(study)
    if json:
        print_json({"study": name, "budget": spec.budget, "hours": spec.hours, "state": study.state.value})
        return
    hours_text = "" if spec.hours is None else f", {spec.hours:g} hours"
    output.print(f"{name}: {spec.budget} trials{hours_text}", markup=False)
    if not busy:
        output.print(f"no job runs it: `archex search resume {name}`", markup=False)


def enqueue(
    name: NameArgument,
    model: Annotated[str, typer.Argument(help="An id or the beginning of one, a name, or a JSON file.")],
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Queue an architecture by hand: it is the next trial to begin. A used-up budget grows by one.

    An architecture that is new to the study's space is added to its library first.
    """
    with opened(store, create=False) as opened_store:
        queued = queueing.enqueue(opened_store, name, model)
    if json:
        facts = {"study": name, "trial": queued.trial.number, "architecture": queued.trial.architecture}
        print_json({**facts, "budget": queued.budget, "added_to_space": bool(queued.added_to)})
    else:
        output.print(queued.text, markup=False, soft_wrap=True)


def listed(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """List all studies with their best architecture and their best-so-far curve."""
    with opened(store, create=False) as opened_store:
        found = [reports.study_report(opened_store, study) for study in opened_store.studies()]
    if json:
        print_json({"studies": found})
    else:
        print_reports(found)


def export(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(help="The file to write, ending with .csv or .json.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write all trials of a study, with the acquisition figures behind every choice."""
    written = {".csv": reports.exported_csv, ".json": reports.exported_json}.get(file.suffix.lower())
    if written is None:
        raise InputError("file", "end with .csv or .json", str(file), "Choose another name.")
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise InputError("file", "be in an existing folder, and not be a folder", str(file), "Make the folder first.")
    with opened(store, create=False) as opened_store:
        text = written(opened_store, managing.find_study(opened_store, name))
    file.write_text(text, encoding="utf-8")
