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
from explorer.studies.driver import StudyPlan, open_study
from explorer.studies.jobs import job_of
from explorer.studies.managing import enqueue, extend_study, find_study
from explorer.training.recipe import recipe_named
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import Embeddings, SpaceRecord, StudyRecord, TrialRecord

TRAINED_SETTINGS = {"from_scores": False, "tasks": [], "data": None}
"""How a study trains that is made for an architecture, but for its recipe: as `archex search` does by default."""


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
        study: its name.
        spec: the architecture.

    Returns:
        The waiting trial.

    Raises:
        InputError: no such study, the study has it already or may not choose it, or it is not in the space and the
            study is being run: what runs it would not know it.
        DataError: the study's space has no library.
    """
    record = find_study(store, study)
    id = graph_hash(build_graph(spec))
    if id not in store.embeddings(record.space).ids:
        if record.settings.get("from_scores"):
            raise InputError("architecture", "have a score for a study on known scores", id, "Choose another study.")
        if job_of(store, study) is not None:
            remedy = "Stop it first, or choose another one; a study that is resumed looks at the space anew."
            raise InputError("study", f"not be running to get an architecture new to {record.space}", study, remedy)
        adopt(store, record.space, spec)
    if len(store.trials(study)) >= record.budget and all(t.architecture != id for t in store.trials(study)):
        extend_study(store, record, record.budget + 1)
    return enqueue(store, study, id)


def new_study(
    store: GraphStore, name: str, space: str, budget: int, seed: int = 0, recipe: str = "nano"
) -> StudyRecord:
    """A study that trains, to queue an architecture into; it is not run yet.

    Args:
        store: where to.
        name: of the study; new.
        space: its space.
        budget: trials. Those that are not queued are chosen by BOSHNAS.
        seed: of the policy and of the trainings.
        recipe: name of that by which it trains.

    Raises:
        InputError: a choice breaks a rule, or there is a study of this name or no such recipe.
    """
    recipe_named(recipe)
    plan = StudyPlan(name, space, "boshnas", "mean", seed, budget, TRAINED_SETTINGS | {"recipe": recipe})
    try:
        store.study(name)
    except NotFoundError:
        return open_study(store, plan)
    raise InputError("study name", "be new", name, "Choose another name, or queue into that study.")
