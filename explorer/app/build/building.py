"""Functions behind the Build page: the grammar of a space, predictions from its scores, queueing trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from explorer.analysis.score_kinds import TitledKind
from explorer.app.search import launching
from explorer.app.shared import frames, services, similarity
from explorer.errors import SpecError
from explorer.library.forecast import FEWEST_SCORES, Forecaster
from explorer.library.library import Library
from explorer.space.drafts import MIXED, Draft, draft_of
from explorer.space.formats import from_json
from explorer.space.grammar import DesignSpace, OutsideSpaceError
from explorer.space.operations import usual_operations
from explorer.space.spec import ArchitectureSpec
from explorer.studies import queueing
from explorer.studies.jobs import is_alive, studies_of
from explorer.studies.managing import new_study
from explorer.studies.queueing import Queued
from explorer.studies.spec import DEFAULT_RECIPE, StudySpec, Trained
from graphstore import GraphStore
from graphstore.records import JobRecord, ScoreKind, SpaceRecord, StudyRecord

NEAREST = 8


def grammar_of(space: SpaceRecord) -> DesignSpace | None:
    """Return the grammar of a space; ``None`` for an imported one."""
    source = space.info.get("source")
    try:
        return DesignSpace.from_source(space.name, source) if isinstance(source, Mapping) else None
    except SpecError:
        return None


def first_draft(space: SpaceRecord, grammar: DesignSpace | None) -> Draft | None:
    """Return the first architecture of a space as a draft; ``None`` if the space has none."""
    if grammar is not None:
        return draft_of(grammar.at(0))
    known = services.architectures(space.name)
    return None if known.empty else draft_of(from_json(services.architecture(str(known.index[0])).spec))


def operations(grammar: DesignSpace | None, draft: Draft) -> list[str]:
    """Return the operations to choose from, those of the space first."""
    own = [f"{family}_{parameter}" for family, parameter in grammar.operations] if grammar else []
    used = [layer.operation for layer in draft.layers]
    return list(dict.fromkeys([*own, *usual_operations(), MIXED, *used]))


def choices_text(grammar: DesignSpace) -> str:
    """Describe the choices of a grammar in a sentence."""

    def options(values: Sequence[object]) -> str:
        return ", ".join(str(value) for value in values)

    heads = options(sorted({count for counts in grammar.heads for count in counts}))
    backbone = getattr(grammar, "backbone", None)
    return (
        f"{grammar.name} has hidden sizes {options(grammar.hidden)}; heads {heads}; feed-forward stacks of "
        f"{options(grammar.ff_depths)} with widths {options(grammar.ff_widths)}; {options(grammar.layers)} layers"
        + (f" in groups of {grammar.layers_per_stack} equal ones" if grammar.layers_per_stack > 1 else "")
        + (f"; backbone {backbone}" if backbone else "")
        + "."
    )


def outside(grammar: DesignSpace, spec: ArchitectureSpec) -> str | None:
    """Return a rule of a space that an architecture breaks, to be read after *where*; ``None`` if it is in it."""
    try:
        grammar.picks(spec)
    except OutsideSpaceError as error:
        # Omit value and remedy: the editor shows the value, and the remedies are about YAML files.
        if error.layer is None:
            return f"the {error.choice} must {error.requirement}"
        if not error.choice:
            return f"layers {error.layer - error.layer % grammar.layers_per_stack} and {error.layer} must be equal"
        return f"the {error.choice} of layer {error.layer} must {error.requirement}"
    return None


@st.cache_resource(show_spinner="Fitting the prediction …", max_entries=8)
def _forecaster(url: str, space: str, size: int, kind: ScoreKind, revision: int, _library: Library) -> Forecaster:
    return Forecaster(_library, known_scores(_library, kind))


def known_scores(library: Library, kind: ScoreKind) -> dict[str, float]:
    """Return id → mean score of a kind, for the architectures of a library."""
    known = frames.mean_scores(services.scores(library.name), kind)
    return {str(id): float(value) for id, value in known.items() if str(id) in library.rows and math.isfinite(value)}


def too_few(library: Library, picked: TitledKind) -> str | None:
    """Explain that a kind has too few scores, and name one that has enough; ``None`` if it has enough."""
    count = len(known_scores(library, picked.kind))
    if count >= FEWEST_SCORES:
        return None
    kinds = frames.score_kinds(services.scores(library.name))
    counts = {one: len(known_scores(library, one.kind)) for one in kinds}
    text = f"{picked.title} has {count} score{'' if count == 1 else 's'}; a prediction needs {FEWEST_SCORES}."
    most = max(counts, key=lambda one: counts[one], default=picked)
    if counts.get(most, 0) < FEWEST_SCORES:
        return f"{text} Train more architectures."
    return f"{text} Train more architectures, or choose {most.title} above: it has {counts[most]:,}."


def forecaster(library: Library, kind: ScoreKind) -> Forecaster:
    """Return a forecaster fitted to the scores of a kind. Raises InputError if they are too few."""
    revision = services.store().revision("scores")
    return _forecaster(services.store_url(), library.name, len(library.rows), kind, revision, library)


def nearest_table(library: Library, spec: ArchitectureSpec, kind: ScoreKind | None) -> pd.DataFrame:
    """Return the nearest architectures by id: ``dissimilarity, label, score, difference, parameters``."""
    known = services.architectures(library.name)
    nearest = library.nearest(spec, NEAREST)
    found = [(near.target, near.dissimilarity) for near in nearest if near.target in known.index]
    table = known.loc[[id for id, _ in found], ["label", "operations", "hiddens", "parameters"]].copy()
    table.insert(0, "dissimilarity", [value for _, value in found])
    score = None if kind is None else frames.mean_scores(services.scores(library.name), kind)
    table["score"] = float("nan") if score is None else score.reindex(table.index)
    table["difference"] = similarity.differences(spec, table.index)
    return table


@dataclass(frozen=True)
class QueueChoices:
    """Choices of the form that queues an architecture.

    Attributes:
        study: name of the study.
        is_new: whether to create the study.
        budget: number of trials of a new study.
        run: whether to run the study afterwards, unless a job runs it already.
        recipe: recipe of a new study.
    """

    study: str
    is_new: bool
    budget: int
    run: bool
    recipe: str = DEFAULT_RECIPE


def joinable(studies: Sequence[StudyRecord], space: str) -> list[StudyRecord]:
    """Return the studies of a space that train, into which an architecture can be queued by hand."""
    return [one for one in studies if one.space == space and isinstance(StudySpec.of(one).evaluation, Trained)]


def study_title(study: StudyRecord) -> str:
    """Return a study's name and its recipe."""
    evaluation = StudySpec.of(study).evaluation
    if not isinstance(evaluation, Trained):
        return study.name
    named = isinstance(evaluation.recipe, str)
    return f"{study.name} (recipe {evaluation.recipe})" if named else f"{study.name} (a recipe of its own)"


def queue_edited(
    store: GraphStore, space: str, spec: ArchitectureSpec, choices: QueueChoices
) -> tuple[Queued, JobRecord | None]:
    """Queue the edited architecture, in a new study if requested, and run the study unless a job runs it already.

    Returns:
        The queued architecture, and the job if one was started.

    Raises:
        InputError: a choice breaks a rule or a limit; too many jobs are running; or as ``queueing.enqueue``.
        DataError: the space has no library.
    """
    with services.starting(store) as jobs:
        busy = any(is_alive(job) and choices.study in studies_of(job) for job in jobs)
        run = choices.run and not busy
        if run:
            launching.require_room(jobs)
        if choices.is_new:
            evaluation = Trained(recipe=choices.recipe)
            new = StudySpec(name=choices.study, space=space, evaluation=evaluation, budget=choices.budget)
            launching.check_limits(new, launching.Place())
            new_study(store, new)
        else:
            launching.check_queue(store, choices.study)
        queued = queueing.enqueue(store, choices.study, spec)
        return queued, launching.launch_study(store, choices.study, launching.Place()) if run else None
