"""An architecture of one's own into a study: brought into the study's space first if it is not there.

A study chooses among the architectures of its space's library, so another one is appended to that library first.
"""

from __future__ import annotations

from explorer.errors import InputError
from explorer.library.library import Library
from explorer.similarity.graph import architecture_id
from explorer.space.spec import ArchitectureSpec
from explorer.studies.jobs import job_of
from explorer.studies.managing import enqueue, extend_study, find_study
from explorer.studies.spec import Known, StudySpec
from graphstore import GraphStore
from graphstore.records import TrialRecord


def queue(store: GraphStore, study: str, spec: ArchitectureSpec) -> TrialRecord:
    """Queue an architecture as a study's next trial; a budget that is used up grows by one.

    Args:
        store: where the study is.
        study: name of the study.
        spec: the architecture.

    Returns:
        The waiting trial.

    Raises:
        InputError: no such study; the study has the architecture already or may not choose it; or the architecture is
            new to the space while a job runs the study, whose policy would not know it.
        DataError: the study's space has no library.
    """
    record = find_study(store, study)
    search = StudySpec.of(record)
    id = architecture_id(spec)
    if id not in store.embeddings(record.space).ids:
        if isinstance(search.evaluation, Known):
            raise InputError("architecture", "have a score for a study on known scores", id, "Choose another study.")
        if job_of(store, study) is not None:
            remedy = "Stop it first, or choose another study; a resumed study reads the space again."
            raise InputError("study", f"not be running to get an architecture new to {record.space}", study, remedy)
        Library.open(store, record.space).append([spec])
    trials = store.trials(study)
    if len(trials) >= search.budget and all(trial.architecture != id for trial in trials):
        extend_study(store, record, search.budget + 1)
    return enqueue(store, study, id)
