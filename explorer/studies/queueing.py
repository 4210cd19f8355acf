"""An architecture of one's own into a study: brought into the study's space first if it is not there.

A study chooses among the architectures of its space that have vectors. Another one becomes one of them: it is placed
among their vectors, gets its neighbours, and is listed in the space's ``adopted``, so that the axes of the vectors
stay those of the library that they were fitted to (``explorer.library.placing``).
"""

from __future__ import annotations

import numpy as np

from explorer.errors import InputError
from explorer.library.build import MAX_LIBRARY, NEIGHBORS, is_ready, library_digest
from explorer.library.nearest import nearest_in_space
from explorer.library.placing import Placer
from explorer.library.records import architecture_records
from explorer.similarity.graph import build_graph, graph_hash
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.spec import ArchitectureSpec
from explorer.studies.jobs import job_of
from explorer.studies.managing import enqueue, extend_study, find_study, open_study
from explorer.studies.spec import Known, StudySpec
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import Embeddings, SpaceRecord, StudyRecord, TrialRecord


def adopt(store: GraphStore, space: str, spec: ArchitectureSpec) -> str:
    """Bring an architecture into a space's library; nothing changes if it is there. Seconds for 9,312.

    Args:
        store: where the space is; nobody else may be adopting into it at the same time.
        space: its name.
        spec: the architecture, of the space's grammar or not.

    Returns:
        Its id.

    Raises:
        InputError: the space has no finished library, or holds as many as there may be.
    """
    graph = build_graph(spec)
    id = graph_hash(graph)
    embedded = store.embeddings(space)
    if id in embedded.ids:
        return id
    if not embedded.ids or not is_ready(store, space):
        raise InputError("space", "have a finished library", space, f"Run `archex space build {space}` first.")
    if len(embedded.ids) >= MAX_LIBRARY:
        rule = f"hold less than {MAX_LIBRARY:,} architectures to take another one"
        raise InputError("space", rule, space, "Bring it into a space of its own: `archex train`.")
    vector = Placer.of_space(store, space).place([graph])
    neighbors = nearest_in_space(store, space, spec, NEIGHBORS)
    table = store.neighbor_table(space, WeisfeilerLehman.name)
    store.add_architectures(space, [architecture_records([spec])[0][0]])
    ids = (*embedded.ids, id)
    store.put_embeddings(space, Embeddings(ids, np.concatenate([embedded.vectors, vector])))
    store.put_neighbors(space, WeisfeilerLehman.name, [*table, *neighbors])
    info = dict(store.space(space).info)
    info |= {"architectures": len(ids), "digest": library_digest(ids), "adopted": [*info.get("adopted", ()), id]}
    store.put_space(SpaceRecord(space, info))
    return id


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
    id = graph_hash(build_graph(spec))
    if id not in store.embeddings(record.space).ids:
        if isinstance(search.evaluation, Known):
            raise InputError("architecture", "have a score for a study on known scores", id, "Choose another study.")
        if job_of(store, study) is not None:
            remedy = "Stop it first, or choose another study; a resumed study reads the space again."
            raise InputError("study", f"not be running to get an architecture new to {record.space}", study, remedy)
        adopt(store, record.space, spec)
    trials = store.trials(study)
    if len(trials) >= search.budget and all(trial.architecture != id for trial in trials):
        extend_study(store, record, search.budget + 1)
    return enqueue(store, study, id)


def new_study(store: GraphStore, spec: StudySpec) -> StudyRecord:
    """Check and store a study of a new name; it is not run.

    Args:
        store: where to write.
        spec: the study.

    Raises:
        InputError: a choice breaks a rule, or a study of this name exists.
        DataError: the space has no library, or data or scores are missing.
    """
    try:
        store.study(spec.name)
    except NotFoundError:
        spec.check(store)
        return open_study(store, spec)
    raise InputError("study name", "be new", spec.name, "Choose another name, or resume that study.")
