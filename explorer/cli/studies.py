"""``archex studies``: all studies with their results."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.studies.reports import study_report, trial_rows


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


SHOWN = ("trial", "state", "attempt", "value", "architecture", "seconds", "reason")
"""Columns of an export that the command shows of each trial."""


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in SHOWN}


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
        trials = [_shown(row) for row in trial_rows(opened_store, named[0])] if name else []
    if json:
        print_json({**reports[0], "trials": trials} if name else {"studies": reports})
        return
    print_reports(reports)
    if name:
        print_trials(trials)
