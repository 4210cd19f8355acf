"""Coarse to fine: the candidates of the next finer level of a search, and the study that goes on among them.

FlexiBERT (arXiv 2205.11656, section 3.4) searches a level to convergence and goes on between its best architectures at
the next finer number of layers per stack, with heterogeneous feed-forward stacks last; further levels go on at that
finest one, around what is the best by then. Finer levels are far too large
to list, so a level's candidates are a few thousand of its architectures:

* all that were tried before, for the policy to learn from;
* the best of them, and their nearest neighbours;
* interpolations between pairs of those, mutations of the best, and uniform draws from the level.

They are a library space of their own, called as the level's study is, ``NAME.level2``. Their vectors are places among
the library that the search began with, so a surrogate sees all levels in the same coordinates. What a level is made
from is written into the store before anything else of it, and closes the level before it; everything else follows from
that, so whoever takes up a half-made level ends with the same candidates.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from explorer.errors import DataError, InputError
from explorer.library.build import build_library, has_space, is_ready
from explorer.library.placing import Placer
from explorer.progress import Reporter
from explorer.records import Trial
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.formats import from_json
from explorer.space.grammar import DesignSpace
from explorer.space.hierarchy import finer, interpolate
from explorer.space.moves import mutate
from explorer.space.spec import ArchitectureSpec
from explorer.studies.driver import history, prior_trials
from explorer.studies.objectives import study_candidates
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import SpaceRecord, StudyRecord, StudyState, TrialStatus

LEVEL_SIZE = 2000
"""Candidates of a finer level, besides what was tried before."""
BEST = 10
"""Best architectures of a level that the next one begins from."""
NEAR = 5
"""Nearest neighbours of each of them."""
INTERPOLATED, MUTATED = 0.5, 0.25
"""Shares of the candidates; the rest are uniform draws."""
MOST_MOVES = 3
"""Choices in which a mutation differs, at most."""
TRIES = 10
"""Draws for each candidate wanted, after which a level counts as used up."""


def level_name(study: StudyRecord, level: int) -> str:
    """Name of the study of a level, and of its space; the first level's are the user's."""
    return f"{study.settings.get('level_of', study.name)}.level{level}"


def level_of(study: StudyRecord) -> int:
    """Which level a study searches, from 1."""
    return int(study.settings.get("level", 1))


def grammar(store: GraphStore, space: str) -> DesignSpace:
    """The design space behind a stored space, or behind the level of which a stored space holds a part.

    Raises:
        NotFoundError: no such space.
        InputError: it is a table or a collection, which has no finer levels.
    """
    source = store.space(space).info.get("source")
    source = source.get("grammar", source) if isinstance(source, Mapping) else source
    if not isinstance(source, Mapping) or "layers_per_stack" not in source:
        rule = "be built from a grammar, which has finer levels"
        raise InputError("space of a search from coarse to fine", rule, space, "Build one with `archex space build`.")
    return DesignSpace.from_source(space, source)


def next_study(store: GraphStore, study: StudyRecord, reporter: Reporter) -> StudyRecord | None:
    """The study of the next finer level, made if it is not there yet. Safe to interrupt and run again.

    Args:
        store: where to.
        study: all of whose trials have ended.
        reporter: told of the phases of ``build_library``.

    Returns:
        ``None`` if the study's settings name no further level, or none of its trials has a value.

    Raises:
        DataError: a trial has not ended.
    """
    level = level_of(study) + 1
    if level > study.settings.get("levels", 1):
        return None
    name = level_name(study, level)
    source = _begun(store, name) or _origin(store, study)
    if source is None:
        return None
    if not is_ready(store, name, source):
        _build(store, name, source, reporter)
    settings = {**study.settings, "level": level, "level_of": source["level_of"], "prior": source["prior"]}
    record = StudyRecord(
        name, name, study.policy, study.objective, study.seed, study.budget, settings, StudyState.OPEN, time.time()
    )
    return store.create_study(record)


def is_closed(store: GraphStore, study: StudyRecord) -> bool:
    """Whether a finer level was begun from the study, so that its history must not grow any more."""
    level = level_of(study)
    return level < study.settings.get("levels", 1) and has_space(store, level_name(study, level + 1))


def _begun(store: GraphStore, name: str) -> dict[str, Any] | None:
    try:
        source = store.space(name).info.get("source")
    except NotFoundError:
        return None
    if not isinstance(source, Mapping) or "level_of" not in source:
        rule = "be new, as a level of the search is to have it"
        raise InputError("name of the level's space", rule, name, "Choose another name for the study.")
    return dict(source)


def _origin(store: GraphStore, study: StudyRecord) -> dict[str, Any] | None:
    """Everything that the next level's candidates depend on, as JSON values."""
    trials = store.trials(study.name)
    if any(trial.state not in (TrialStatus.COMPLETE, TrialStatus.FAILED) for trial in trials):
        remedy = "Run it to its end first."
        raise DataError(f"study {study.name}", "have ended before the next level begins", "open trials", remedy)
    tried = [*prior_trials(store, study), *history(trials)]
    best, coarse = _best(store, study, tried), grammar(store, study.space)
    if not best:
        return None
    level, info = level_of(study), store.space(study.space).info["source"]
    source = {
        "level_of": study.settings.get("level_of", study.name),
        "level": level + 1,
        "grammar": (finer(coarse) or coarse).source(),
        "coarser": study.space,
        "placed_in": info.get("placed_in", study.space),
        "prior": [*study.settings.get("prior", ()), [study.name, len(trials)]],
        "best": best,
        "seed": study.seed,
        "size": study.settings.get("level_size", LEVEL_SIZE),
    }
    return dict(json.loads(json.dumps(source)))


def _best(store: GraphStore, study: StudyRecord, tried: Sequence[Trial]) -> list[str]:
    """The architectures with the highest values, the earlier one of equals, that the study may propose."""
    candidates = study_candidates(store, study)
    valued = [
        (-trial.value, trial.number, trial.architecture)
        for trial in tried
        if trial.value is not None and candidates.allowed[candidates.index[trial.architecture]]
    ]
    return [id for _, _, id in sorted(valued)[:BEST]]


def _build(store: GraphStore, name: str, source: Mapping[str, Any], reporter: Reporter) -> SpaceRecord:
    title = f"Level {source['level']} of the search {source['level_of']}"
    store.put_space(SpaceRecord(name, {"title": title, "source": source, "ready": False}))
    best = source["best"]
    near = [
        record.target for id in best for record in store.neighbors(source["coarser"], id, WeisfeilerLehman.name, NEAR)
    ]
    tried = [trial.architecture for study, count in source["prior"] for trial in store.trials(study)[:count]]
    specs = {
        summary.id: from_json(summary.spec) for summary in store.summaries(ids=list(dict.fromkeys([*tried, *near])))
    }
    rng = np.random.default_rng([source["seed"], source["level"]])
    coarse = grammar(store, source["coarser"])
    chosen = level_specs(coarse, [specs[id] for id in best], [specs[id] for id in near], source["size"], rng)
    placer = Placer.of_space(store, source["placed_in"])
    held = [specs[id] for id in tried]
    return build_library(store, name, [*held, *chosen], reporter, source, title, placer)


def level_specs(
    coarse: DesignSpace,
    best: Sequence[ArchitectureSpec],
    near: Sequence[ArchitectureSpec],
    size: int,
    rng: np.random.Generator,
) -> list[ArchitectureSpec]:
    """Candidates of the next finer level, drawn without listing it; of the same one, if it is the finest.

    Args:
        coarse: the level before it.
        best: the best architectures of that, best first; at least one.
        near: neighbours of theirs.
        size: how many candidates.
        rng: source of randomness.

    Returns:
        ``best`` and ``near``, interpolations between each of the best and all of them, mutations of the best in one to
        three choices that a coarser level does not hold, and uniform draws; distinct, and fewer than ``size`` only
        where the level has hardly more.

    Raises:
        SpecError: a parent is not in the level.
    """
    level = finer(coarse) or coarse
    chosen = dict.fromkeys([*best, *near])
    parents = list(chosen)
    room = max(0, size - len(parents))
    pairs = [(first, second) for place, first in enumerate(best) for second in parents[place + 1 :]]
    each = math.ceil(INTERPOLATED * room / len(pairs)) if pairs else 0
    between = (spec for first, second in pairs for spec in interpolate(first, second, level, each, rng))
    _fill(chosen, between, len(parents) + int(INTERPOLATED * room))
    if level.count() > 1:
        mutations: Iterator[ArchitectureSpec] = islice(_mutations(level, best, rng), TRIES * room)
        if level != coarse:
            mutations = (spec for spec in mutations if spec not in coarse)
        _fill(chosen, mutations, len(parents) + int((INTERPOLATED + MUTATED) * room))
    _fill(chosen, islice(_draws(level, rng), TRIES * room), size)
    return list(chosen)


def _fill(chosen: dict[ArchitectureSpec, None], offered: Iterator[ArchitectureSpec], full: int) -> None:
    """Take of what is offered until there are so many; fewer where there are not as many."""
    while len(chosen) < full and (spec := next(offered, None)) is not None:
        chosen.setdefault(spec)


def _mutations(
    level: DesignSpace, best: Sequence[ArchitectureSpec], rng: np.random.Generator
) -> Iterator[ArchitectureSpec]:
    while True:
        for parent in best:
            spec = parent
            for _ in range(int(rng.integers(1, MOST_MOVES + 1))):
                spec = mutate(level, spec, rng)
            yield spec


def _draws(level: DesignSpace, rng: np.random.Generator) -> Iterator[ArchitectureSpec]:
    while True:
        yield from level.sample(1, rng)
