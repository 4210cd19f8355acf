"""Stages that follow a finished study: the next finer level of its space, then re-queries of its best architectures.

Every stage is a study of its own, made from what is stored. A chain of stages that was interrupted anywhere continues
when it is run again.
"""

from __future__ import annotations

from collections.abc import Callable

from explorer.progress import Reporter
from explorer.studies.levels import is_closed, next_study
from explorer.studies.requeries import tuned_study
from explorer.studies.spec import StudySpec
from graphstore import GraphStore
from graphstore.records import StudyRecord, StudyState

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
