"""``archex demo``: the main job, from an empty folder to a scored, searchable, visible design space."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from typing import Annotated

import typer

from explorer.app.server import AppServer, checked_base_path
from explorer.cli.app import BasePathOption, PortOption
from explorer.cli.console import (
    DEFAULT_STORE,
    JobOption,
    JsonOption,
    SeedOption,
    StoreOption,
    errors,
    find_job,
    opened,
    output,
    print_json,
    progress_reporter,
    say,
)
from explorer.cli.search_options import RecipeOption
from explorer.studies.demo import RECIPE, DemoResult, demo_spec, run_demo
from explorer.studies.jobs import new_job, running_job, wait_until_free
from explorer.studies.reports import finished_report
from explorer.training.metrics import verdict


def demo(
    no_app: Annotated[bool, typer.Option("--no-app", help="Do not open the app; end after the batch.")] = False,
    trials: Annotated[int, typer.Option("--trials", help="Number of architectures to train.", min=1, max=1000)] = 8,
    seed: SeedOption = 0,
    recipe: RecipeOption = RECIPE,
    port: PortOption = 8501,
    base_path: BasePathOption = "",
    store: StoreOption = DEFAULT_STORE,
    job: JobOption = "",
    json: JsonOption = False,
) -> None:
    """Build the nano space, train a BOSHNAS batch in it, and watch the scores arrive in the app.

    You may interrupt it at any time: the same command resumes it.
    """
    spec, path = demo_spec(trials, seed, recipe), checked_base_path(base_path)
    with ExitStack() as stack:
        opened_store = stack.enter_context(opened(store))
        server: list[AppServer] = []

        def open_app() -> None:
            app = AppServer(opened_store.url, port, login=opened_store.login, base_path=path)
            server.append(stack.enter_context(app))
            errors.print(f"The app is at {server[0].url}; scores appear there as they arrive.", markup=False)
            server[0].open_browser()

        wait_until_free(opened_store, [spec.name], job, say)
        again = ["demo", "--no-app", f"--trials={trials}", f"--seed={seed}", f"--recipe={recipe}"]
        info = {"studies": [spec.name], "arguments": again}
        record = find_job(opened_store, job) if job else new_job(opened_store, "demo", info)
        with progress_reporter() as bars, running_job(opened_store, record, bars) as reporter:
            result = run_demo(opened_store, spec, reporter, (lambda: None) if no_app else open_app)
        finished_report(opened_store, opened_store.study(spec.name))
        if json:
            print_json(asdict(result))
        else:
            print_result(result)
        if server:
            errors.print(f"The app stays at {server[0].url} - Ctrl-C ends it.", markup=False)
            server[0].wait()


def print_result(result: DemoResult) -> None:
    """Print what a demo found."""
    output.print(
        f"{result.architectures:,} architectures in the library after {result.library_s:.1f} s; "
        f"{result.scored} trained{f', {result.failed} failed' if result.failed else ''}"
        + (f"; the first score came after {result.first_score_s:.0f} s." if result.first_score_s is not None else ".")
    )
    if result.best:
        scores = ", ".join(f"{task} {value:.3f}" for task, value in sorted(result.best["scores"].items()))
        output.print(f"Best: {result.best['id']} with {scores}")
        for task, value in sorted(result.best["scores"].items()):
            if worth := verdict(value, result.best["majority"][task]):
                output.print(f"      {task} {worth}, which scores {result.best['majority'][task]:.3f}", markup=False)
        output.print(f"      {result.best['model_dict']}", soft_wrap=True)
        tasks = ", ".join(sorted(task for task in result.best["scores"] if task != "mean"))
        folder = result.best["folder"]
        output.print(f"      its models are in {folder}, one folder per task: {tasks}", soft_wrap=True, markup=False)
