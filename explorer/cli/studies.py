"""``archex studies``: all studies with their results."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.errors import ExplorerError
from explorer.studies.driver import best_so_far
from explorer.studies.reports import study_facts
from graphstore import GraphStore
from graphstore.records import StudyRecord, TrialRecord, TrialStatus


def study_report(store: GraphStore, study: StudyRecord) -> dict[str, Any]:
    """Return the results of a study as a JSON-able document."""
    trials = store.trials(study.name)
    return {
        **study_facts(store, study, trials),
        "complete": sum(trial.value is not None for trial in trials),
        "failed": sum(trial.state is TrialStatus.FAILED for trial in trials),
        "stale": sum(trial.state is TrialStatus.STALE for trial in trials),
        "running": sum(trial.state is TrialStatus.RUNNING for trial in trials),
        "curve": best_so_far(trials),
    }


def finished_report(store: GraphStore, study: StudyRecord) -> dict[str, Any]:
    """Return the report of a study that has just been run.

    Raises:
        ExplorerError: all trials failed; it shows the reason of the first one.
    """
    report = study_report(store, study)
    if report["failed"] and not report["complete"]:
        reason = next(trial.reason for trial in store.trials(study.name) if trial.state is TrialStatus.FAILED)
        raise ExplorerError(f"all {report['failed']} trials of study {study.name} failed, the first because: {reason}")
    return report


def print_reports(reports: list[dict[str, Any]]) -> None:
    """Print studies side by side."""
    table = Table("study", "objective", "state", "trials", "failed", "stale", "best", "architecture", "best so far")
    for report in reports:
        best = report["best"] or {"id": "-", "value": float("nan")}
        curve = report["curve"]
        steps = sorted({0, len(curve) // 4, len(curve) // 2, len(curve) - 1}) if curve else []
        shown = " ".join(f"{i + 1}:{curve[i]:.4f}" for i in steps)
        trials = f"{report['complete']}/{report['budget']}"
        tuned = report["tuned"]
        shown += f"; {tuned['value']:.4f} by {tuned['recipe']} of {tuned['id']}" if tuned else ""
        cells = (report["study"], report["objective"], report["state"], trials)
        counts = (str(report["failed"]), str(report["stale"]))
        table.add_row(*cells, *counts, f"{best['value']:.4f}", best["id"], shown)
    output.print(table)


def trial_report(trial: TrialRecord) -> dict[str, Any]:
    """Return a trial as a JSON-able document; ``seconds`` counts from the start of its last attempt to its end."""
    ended = trial.finished and trial.started
    return {
        "trial": trial.number,
        "state": trial.state.value,
        "attempt": trial.attempt,
        "value": trial.value,
        "architecture": trial.architecture,
        "seconds": trial.finished - trial.started if ended else None,
        "reason": trial.reason,
    }


def print_trials(reports: list[dict[str, Any]]) -> None:
    """Print the trials of a study."""
    table = Table("trial", "state", "attempt", "value", "architecture", "seconds", "reason")
    for report in reports:
        value, seconds = report["value"], report["seconds"]
        shown = ["-" if value is None else f"{value:.4f}", report["architecture"]]
        shown.append("-" if seconds is None else f"{seconds:.1f}")
        reason = escape(" ".join(report["reason"].split()))
        table.add_row(str(report["trial"]), report["state"], str(report["attempt"]), *shown, reason)
    output.print(table)


def studies(
    name: Annotated[str, typer.Argument(help="List all trials of this study instead.")] = "",
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List all studies with their best architecture and their best-so-far curve, or all trials of one study."""
    with opened(store, create=False) as opened_store:
        named = [opened_store.study(name)] if name else opened_store.studies()
        reports = [study_report(opened_store, study) for study in named]
        trials = [trial_report(trial) for trial in opened_store.trials(name)] if name else []
    if json:
        print_json({**reports[0], "trials": trials} if name else {"studies": reports})
        return
    print_reports(reports)
    if name:
        print_trials(trials)
