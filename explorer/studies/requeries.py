"""Aleatoric re-queries: once a search has converged, its best architectures are trained again by tuned recipes.

Where the surrogate predicts high aleatoric uncertainty, the best trial may not be of the best architecture (FlexiBERT,
arXiv 2205.11656, section 3.3). The architectures that seed noise alone may have kept from being the best are trained
once more, each by a variation of the study's recipe that costs as much. Because a study has one trial per
architecture, the re-queries are a study of their own, ``NAME.tuned``; they are chosen once, when it is made. Their
scores carry the varied recipe, so they do not mix with other scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from explorer.search.policy import Policy
from explorer.studies.driver import StudyDriver, best_trial, single_thread
from explorer.studies.objectives import satisfying, study_candidates
from explorer.studies.spec import Stages, StudySpec, Tuned
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    from explorer.training.recipe import Recipe

NEGLIGIBLE = 0.05
"""Aleatoric uncertainty below this share of the scores' standard deviation is not worth a training."""
FASTER = 2.0
"""Factor of the learning rates."""


def _with_rates(recipe: Recipe, factor: float) -> Recipe:
    rates = tuple(rate * factor for rate in recipe.tune_rates)
    pretrain, finetune = recipe.pretrain_rate * factor, recipe.finetune_rate * factor
    return replace(recipe, pretrain_rate=pretrain, finetune_rate=finetune, tune_rates=rates)


def _in_smaller_batches(recipe: Recipe) -> Recipe:
    """Pre-train with twice as many steps on half as many rows each; an odd row is left out."""
    batch = max(1, recipe.pretrain_batch // 2)
    steps = recipe.pretrain_steps * (recipe.pretrain_batch // batch)
    pieces = min(recipe.pretrain_pieces, batch)
    return replace(recipe, pretrain_steps=steps, pretrain_batch=batch, pretrain_pieces=pieces)


_CHANGES: dict[str, Callable[[Recipe, int], tuple[Recipe, int]]] = {
    "higher rates": lambda recipe, seed: (_with_rates(recipe, FASTER), seed),
    "lower rates": lambda recipe, seed: (_with_rates(recipe, 1 / FASTER), seed),
    "more, smaller steps": lambda recipe, seed: (_in_smaller_batches(recipe), seed),
    "another seed": lambda recipe, seed: (recipe, seed + 1),
}
VARIATIONS = tuple(_CHANGES)
"""Names of the variations, in the order in which queries take them."""


def varied(recipe: Recipe, seed: int, variation: str) -> tuple[Recipe, int]:
    """Return the recipe and the seed of a training by a variation; an empty name changes nothing."""
    return _CHANGES[variation](recipe, seed) if variation else (recipe, seed)


def worth_another_training(policy: Policy, most: int) -> list[str]:
    """Return the architectures that seed noise alone may have kept from being the best, best first.

    Their score plus its aleatoric deviation reaches the best score, and the deviation is not negligible.

    Args:
        policy: a policy that has observed the history.
        most: largest number of architectures.

    Returns:
        Ids; none if the policy predicts no aleatoric uncertainty.
    """
    allowed = policy.candidates.allowed
    done = [trial for trial in policy.completed if allowed[policy.candidates.index[trial.architecture]]]
    noise = policy.aleatoric([trial.architecture for trial in done])
    if noise is None or not done:
        return []
    values = np.array([float(trial.value or 0.0) for trial in done])
    open_ = (values + noise >= values.max()) & (noise > NEGLIGIBLE * values.std())
    order = np.argsort(-values, kind="stable")
    return [done[i].architecture for i in order if open_[i]][:most]


def tuned_study(store: GraphStore, study: StudyRecord) -> StudyRecord | None:
    """Return the study of another study's re-queries; make it if it is not stored. Safe to interrupt and run again.

    Args:
        store: where the studies are.
        study: a study that has ended; its stages say how many re-queries are wanted, at most.

    Returns:
        ``None`` if no re-queries are wanted, or no architecture is worth one.
    """
    spec = StudySpec.of(study)
    if not spec.stages.requeries:
        return None
    tuned = _stored(store, study)
    if tuned is None:
        driver = StudyDriver(store, study, study_candidates(store, spec))
        driver.learn(store.trials(study.name))
        with single_thread(driver.policy):
            chosen = worth_another_training(driver.policy, spec.stages.requeries)
        if not chosen:
            return None
        queries = tuple((id, VARIATIONS[place % len(VARIATIONS)]) for place, id in enumerate(chosen))
        tuned = store.create_study(_tuned(spec, queries).record())
    again = StudySpec.of(tuned).tuned
    queries = again.queries if again else ()
    store.add_trials(tuned.name, [(id, {"origin": "requery", "variation": kind}) for id, kind in queries])
    return tuned


def _tuned(spec: StudySpec, queries: tuple[tuple[str, str], ...]) -> StudySpec:
    """Return the re-queries' spec: the study's, without what ends or follows a search."""
    return replace(
        spec,
        name=f"{spec.name}.tuned",
        budget=len(queries),
        stop_when_converged=False,
        patience=None,
        stages=Stages(),
        level=None,
        tuned=Tuned(of=spec.name, queries=queries),
    )


def _stored(store: GraphStore, study: StudyRecord) -> StudyRecord | None:
    try:
        return store.study(f"{study.name}.tuned")
    except NotFoundError:
        return None


def allowed_trials(store: GraphStore, spec: StudySpec, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials whose architectures satisfy the study's constraints, which may have been tightened since."""
    if not spec.constraints:
        return list(trials)
    kept = satisfying(store, spec.constraints, (trial.architecture for trial in trials))
    return [trial for trial in trials if trial.architecture in kept]


def best_with_tuned(
    store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord]
) -> tuple[TrialRecord, str] | None:
    """Return the best trial of a study and of its re-queries that satisfies the constraints, the study's own of equals.

    Args:
        store: where the studies are.
        study: the study.
        trials: all of its trials.

    Returns:
        The trial, and the variation of the recipe that it was trained by, empty for the study's own recipe; ``None``
        if no trial has a value. Scores by different recipes tell what was reached, not which architecture is better.
    """
    tuned = _stored(store, study)
    requeries = [] if tuned is None else store.trials(tuned.name)
    kept = allowed_trials(store, StudySpec.of(study), [*trials, *requeries])
    found = [best_trial(trial for trial in kept if (trial.study == study.name) is own) for own in (True, False)]
    best = max((trial for trial in found if trial is not None), key=lambda trial: trial.value or 0.0, default=None)
    return None if best is None else (best, str(best.info.get("variation", "")))
