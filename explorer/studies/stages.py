"""Running a stored study, and the stages that follow it: finer levels of its space, then re-queries of the best.

Every stage is a study of its own, made from what is stored. A chain of stages that was interrupted anywhere continues
when it is run again.
"""

from __future__ import annotations

from collections.abc import Callable

from explorer.progress import Reporter
from explorer.studies.driver import run_known
from explorer.studies.executors.contract import Executor
from explorer.studies.levels import is_closed, next_study
from explorer.studies.managing import evaluated_elsewhere
from explorer.studies.requeries import tuned_study
from explorer.studies.spec import External, Inside, Known, StudySpec, Trained
from explorer.studies.supernet import run_inside
from explorer.studies.trained import run_trained
from graphstore import GraphStore
from graphstore.records import StudyRecord, StudyState


def run_study(
    store: GraphStore, study: StudyRecord, executor: Executor, reporter: Reporter, stop: Callable[[], bool]
) -> StudyRecord:
    """Run a study until it is done or stopped, as its evaluation says; no worker of it is left afterwards.

    Args:
        store: where the study is.
        study: the study.
        executor: starts the workers of a study whose trials are not on known scores.
        reporter: receives its progress.
        stop: called between trials or several times a second; the study stops if it returns true.

    Raises:
        InputError: the study's trials are evaluated elsewhere; or, as DataError, its data or scores cannot be used.
        ExplorerError: workers keep dying.
    """
    match StudySpec.of(study).evaluation:
        case External():
            raise evaluated_elsewhere(study)
        case Known():
            return run_known(store, study, reporter, stop)
        case Inside() as inside:
            return run_inside(store, study, inside, executor, reporter, stop)
        case Trained():
            return run_trained(store, study, executor, reporter, stop)


RunStudy = Callable[[StudyRecord], StudyRecord]
"""Runs one study until it ends or is stopped."""


def run_stages(
    store: GraphStore, study: StudyRecord, run: RunStudy, reporter: Reporter, stop: Callable[[], bool]
) -> list[StudyRecord]:
    """Run a study, then the stages that its spec names.

    A level ends when the policy has converged or the level's budget is used up; each level has the same budget. Once
    the next level was begun, a larger budget and tighter constraints apply to the levels that are left.

    Args:
        store: where the study is.
        study: the study of the first level, or of a finer one.
        run: runs each study.
        reporter: receives the progress while a level's candidates are made.
        stop: called between stages; the chain stops if it returns true.

    Returns:
        The studies of the chain, the given one first.

    Raises:
        Exceptions of ``run``.
    """
    studies: list[StudyRecord] = []
    following: StudyRecord | None = study
    while following is not None:
        present = following
        if is_closed(store, present):
            present = store.update_study(present.name, state=StudyState.DONE)
        else:
            present = run(_extended(store, present, study))
        studies.append(present)
        if present.state is not StudyState.DONE or stop():
            return studies
        following = next_study(store, present, reporter)
    tuned = tuned_study(store, studies[-1])
    return [*studies, run(tuned)] if tuned is not None else studies


def _extended(store: GraphStore, level: StudyRecord, first: StudyRecord) -> StudyRecord:
    """Open a level with the budget, hours and constraints that the study of the first level has by now."""
    asked = StudySpec.of(first)
    spec = StudySpec.of(level).grown(asked.budget, asked.hours, asked.constraints)
    return store.update_study(level.name, state=StudyState.OPEN, spec=spec.to_json())
