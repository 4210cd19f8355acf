"""Coarse to fine: the candidates of the next finer level of a search, and the study that searches them.

FlexiBERT (arXiv 2205.11656, section 3.4) searches a level to convergence and continues between its best architectures
at the next finer number of layers per stack, with heterogeneous feed-forward stacks last. Further levels stay at that
finest number and search around the best architectures known by then. Finer levels are far too large to list, so the
candidates of a level are a few thousand of its architectures:

* all that were tried before, for the policy to learn from;
* the best of them, and their nearest neighbours;
* interpolations between pairs of those, mutations of the best, and uniform draws from the level.

They form a library space of their own with the name of the level's study, ``NAME.level2``. Their vectors are computed
with the axes of the library that the search began with, so a surrogate sees all levels in the same coordinates. The
inputs of a level are stored first and close the previous level. Everything else is computed from them, so a level that
was interrupted ends with the same candidates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from typing import Any

import numpy as np

from explorer.errors import DataError, InputError
from explorer.library.beginning import begin
from explorer.library.library import Library
from explorer.library.settings import neighbors_kernel
from explorer.library.spaces import has_space, is_ready
from explorer.progress import Reporter
from explorer.records import Trial
from explorer.space.formats import from_json
from explorer.space.grammar import DesignSpace
from explorer.space.hierarchy import finer, interpolate, levels
from explorer.space.moves import mutate
from explorer.space.spec import ArchitectureSpec
from explorer.studies.driver import ENDED, history, prior_trials
from explorer.studies.objectives import study_candidates
from explorer.studies.spec import LEVEL_SIZE, Level, StudySpec
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import StudyRecord

BEST = 10
"""Number of best architectures that the next level begins from."""
NEAR = 5
"""Number of nearest neighbours of each of them."""
INTERPOLATED, MUTATED = 0.5, 0.25
"""Shares of the candidates; the rest are uniform draws."""
MOST_MOVES = 3
"""Largest number of choices in which a mutation differs."""
TRIES = 10
"""Draws per wanted candidate after which a level counts as exhausted."""


@dataclass(frozen=True)
class LevelSource:
    """Everything that the candidates of a finer level depend on, kept as the source of its space.

    Attributes:
        level_of: name of the first level's study.
        level: number of the level, from 2.
        grammar: source of the level's design space.
        coarser: space of the previous level.
        placed_in: space of the library in whose coordinates all levels are placed.
        prior: earlier studies, with the number of their trials.
        best: ids of the best architectures so far, best first.
        seed: seed of the study.
        size: number of candidates.
    """

    level_of: str
    level: int
    grammar: Mapping[str, Any]
    coarser: str
    placed_in: str
    prior: tuple[tuple[str, int], ...]
    best: tuple[str, ...]
    seed: int
    size: int

    @classmethod
    def of(cls, source: object) -> LevelSource | None:
        """Return the source of a space; ``None`` if the space is not a finer level."""
        names = [one.name for one in fields(cls)]
        if not isinstance(source, Mapping) or any(name not in source for name in names):
            return None
        prior = tuple((str(study), int(count)) for study, count in source["prior"])
        return cls(**{**{name: source[name] for name in names}, "prior": prior, "best": tuple(source["best"])})

    def to_json(self) -> dict[str, Any]:
        """Return the source as the store keeps it."""
        return dict(json.loads(json.dumps(asdict(self))))


def level_name(spec: StudySpec, level: int) -> str:
    """Return the name of a finer level's study, which is also the name of its space."""
    return f"{spec.level.of if spec.level else spec.name}.level{level}"


def level_of(spec: StudySpec) -> int:
    """Return the number of the level that a study searches, from 1."""
    return spec.level.number if spec.level else 1


def grammar(store: GraphStore, space: str) -> DesignSpace:
    """Return the design space of a stored space, or of the level of which a stored space holds a part.

    Raises:
        NotFoundError: no such space.
        InputError: the space comes from a table or a collection, which has no finer levels.
    """
    source = store.space(space).info.get("source")
    source = source.get("grammar", source) if isinstance(source, Mapping) else source
    if not isinstance(source, Mapping) or "layers_per_stack" not in source:
        rule = "be built from a grammar, which has finer levels"
        raise InputError(
            "space of a search from coarse to fine", rule, space, "Build one with `archex space build nano`."
        )
    return DesignSpace.from_source(space, source)


def levels_to_search(store: GraphStore, space: str, wanted: int | None = None) -> int:
    """Return the number of levels of a search from coarse to fine.

    Args:
        store: where the space is.
        space: name of the coarsest level.
        wanted: number that a user chose; by default the space's own levels.

    Raises:
        NotFoundError: no such space.
        InputError: the space has no grammar, or there are fewer than two levels.
    """
    own = len(levels(grammar(store, space)))
    count = own if wanted is None else wanted
    if count < 2:
        rule = f"be at least 2; space {space} has {own}, and further ones stay at the finest"
        raise InputError("levels", rule, count, "Give a number of levels.")
    return count


def next_study(store: GraphStore, study: StudyRecord, reporter: Reporter) -> StudyRecord | None:
    """Return the study of the next finer level; make it if it is not stored. Safe to interrupt and run again.

    Args:
        store: where the studies are.
        study: a study all of whose trials have ended.
        reporter: gets the phases of ``Library.build``.

    Returns:
        ``None`` if the study is of the last level, or none of its trials has a value.

    Raises:
        DataError: a trial has not ended.
    """
    spec = StudySpec.of(study)
    number = level_of(spec) + 1
    if number > spec.stages.levels:
        return None
    name = level_name(spec, number)
    source = _begun(store, name) or _origin(store, spec)
    if source is None:
        return None
    if not is_ready(store, name, source.to_json()):
        _build(store, name, source, reporter)
    level = Level(number=number, of=source.level_of, prior=source.prior)
    return store.create_study(replace(spec, name=name, space=name, level=level).record())


def is_closed(store: GraphStore, study: StudyRecord) -> bool:
    """Return whether a finer level was begun from the study, so that its history must not grow any more."""
    spec = StudySpec.of(study)
    number = level_of(spec)
    return number < spec.stages.levels and has_space(store, level_name(spec, number + 1))


def _begun(store: GraphStore, name: str) -> LevelSource | None:
    try:
        source = LevelSource.of(store.space(name).info.get("source"))
    except NotFoundError:
        return None
    if source is None:
        rule = "be new, as a level of the search is to have it"
        raise InputError("name of the level's space", rule, name, "Choose another name for the study.")
    return source


def _origin(store: GraphStore, spec: StudySpec) -> LevelSource | None:
    """Return what the next level's candidates depend on; ``None`` if no trial has a value."""
    trials = store.trials(spec.name)
    if any(trial.state not in ENDED for trial in trials):
        remedy = "Run it to its end first."
        raise DataError(f"study {spec.name}", "have ended before the next level begins", "open trials", remedy)
    tried = [*prior_trials(store, spec), *history(trials)]
    best, coarse = _best(store, spec, tried), grammar(store, spec.space)
    if not best:
        return None
    own = LevelSource.of(store.space(spec.space).info.get("source"))
    return LevelSource(
        level_of=spec.level.of if spec.level else spec.name,
        level=level_of(spec) + 1,
        grammar=(finer(coarse) or coarse).source(),
        coarser=spec.space,
        placed_in=own.placed_in if own else spec.space,
        prior=(*(spec.level.prior if spec.level else ()), (spec.name, len(trials))),
        best=tuple(best),
        seed=spec.seed,
        size=spec.stages.level_size or LEVEL_SIZE,
    )


def _best(store: GraphStore, spec: StudySpec, tried: Sequence[Trial]) -> list[str]:
    """Return the architectures with the highest values, the earlier one of equals, that the study may propose."""
    candidates = study_candidates(store, spec)
    valued = [
        (-trial.value, trial.number, trial.architecture)
        for trial in tried
        if trial.value is not None and candidates.allowed[candidates.index[trial.architecture]]
    ]
    return [id for _, _, id in sorted(valued)[:BEST]]


def _build(store: GraphStore, name: str, source: LevelSource, reporter: Reporter) -> None:
    title, document = f"Level {source.level} of the search {source.level_of}", source.to_json()
    begin(store, name, document, title, parent=source.placed_in)
    best, coarser = source.best, source.coarser
    kernel = neighbors_kernel(store.space(coarser).info)
    near = [record.target for id in best for record in store.neighbors(coarser, id, kernel, NEAR)]
    tried = [trial.architecture for study, count in source.prior for trial in store.trials(study)[:count]]
    specs = {
        summary.id: from_json(summary.spec) for summary in store.summaries(ids=list(dict.fromkeys([*tried, *near])))
    }
    rng = np.random.default_rng([source.seed, source.level])
    coarse = grammar(store, coarser)
    chosen = level_specs(coarse, [specs[id] for id in best], [specs[id] for id in near], source.size, rng)
    held = [specs[id] for id in tried]
    Library.build(store, name, [*held, *chosen], reporter, document, title, parent=source.placed_in)


def level_specs(
    coarse: DesignSpace,
    best: Sequence[ArchitectureSpec],
    near: Sequence[ArchitectureSpec],
    size: int,
    rng: np.random.Generator,
) -> list[ArchitectureSpec]:
    """Draw candidates of the next finer level, or of the same level if it is the finest, without listing it.

    Args:
        coarse: the previous level.
        best: the best architectures of the previous level, best first; at least one.
        near: their neighbours.
        size: number of candidates.
        rng: random generator.

    Returns:
        Distinct candidates: ``best`` and ``near``, interpolations between each of the best and all of these, mutations
        of the best in one to three choices that the coarser level does not hold, and uniform draws. Fewer than
        ``size`` only if the level has hardly more architectures.

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
    """Add offered architectures until ``chosen`` holds ``full`` of them, or none is left."""
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
