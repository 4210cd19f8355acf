"""Aleatoric re-queries: once a search has converged, its best architectures are trained again by tuned recipes.

Where the surrogate takes much of a score for chance, the best trial may not be of the best architecture (FlexiBERT,
arXiv 2205.11656, section 3.3). So those that chance alone may have kept from being the best are trained once more, each
by a variation of the study's recipe that costs as much. As a study has one trial per architecture, they are a study of
their own, ``NAME.tuned``, chosen when it is made and never again. Its scores carry the varied recipe, so they do not
mix with the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from explorer.search.policy import Policy
from explorer.studies.driver import StudyDriver, best_trial
from explorer.studies.objectives import study_candidates
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import StudyRecord, StudyState, TrialRecord

if TYPE_CHECKING:
    from explorer.training.recipe import Recipe

MOST_QUERIES = 10
NEGLIGIBLE = 0.05
"""Chance of less than this share of the scores' standard deviation is not worth a training."""
FASTER = 2.0
"""Factor of the learning rates."""
OWN_SETTINGS = ("levels", "level_size", "level", "level_of", "prior", "requeries", "stop_when_converged", "patience")
"""Settings of a study that its re-queries do not share."""


def _with_rates(recipe: Recipe, factor: float) -> Recipe:
    rates = tuple(rate * factor for rate in recipe.tune_rates)
    pretrain, finetune = recipe.pretrain_rate * factor, recipe.finetune_rate * factor
    return replace(recipe, pretrain_rate=pretrain, finetune_rate=finetune, tune_rates=rates)


def _in_smaller_batches(recipe: Recipe) -> Recipe:
    """Twice as many steps of pre-training on half as many rows each; an odd row is left out."""
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
    """The recipe and the seed of a training by a variation; those given if it has no name."""
    return _CHANGES[variation](recipe, seed) if variation else (recipe, seed)


def worth_another_training(policy: Policy, most: int) -> list[str]:
    """The architectures that chance alone may have kept from being the best, best first.

    That is, whose score plus its aleatoric deviation reaches the best score, where the deviation is not negligible.

    Args:
        policy: told the history.
        most: how many, at most.

    Returns:
        Ids; none if the policy has no belief about chance.
    """
    allowed = policy.candidates.allowed
    done = [trial for trial in policy.completed if allowed[policy.candidates.index[trial.architecture]]]
    chance = policy.aleatoric([trial.architecture for trial in done])
    if chance is None or not done:
        return []
    values = np.array([float(trial.value or 0.0) for trial in done])
    open_ = (values + chance >= values.max()) & (chance > NEGLIGIBLE * values.std())
    order = np.argsort(-values, kind="stable")
    return [done[i].architecture for i in order if open_[i]][:most]


def tuned_study(store: GraphStore, study: StudyRecord) -> StudyRecord | None:
    """The study of another study's re-queries, made if it is not there yet. Safe to interrupt and run again.

    Args:
        store: where it is.
        study: has ended; ``settings["requeries"]`` is how many are wanted, at most.

    Returns:
        ``None`` if the settings want none, or no architecture is worth one.
    """
    wanted = int(study.settings.get("requeries", 0))
    if not wanted:
        return None
    tuned = _stored(store, study)
    if tuned is None:
        driver = StudyDriver(store, study, study_candidates(store, study))
        driver.learn(store.trials(study.name))
        chosen = worth_another_training(driver.policy, wanted)
        if not chosen:
            return None
        queries = [[id, VARIATIONS[place % len(VARIATIONS)]] for place, id in enumerate(chosen)]
        shared = {name: value for name, value in study.settings.items() if name not in OWN_SETTINGS}
        tuned = StudyRecord(
            tuned_name(study),
            study.space,
            study.policy,
            study.objective,
            study.seed,
            len(queries),
            {**shared, "tuned_of": study.name, "queries": queries},
            StudyState.OPEN,
            time.time(),
        )
        tuned = store.create_study(tuned)
    store.add_trials(tuned.name, [(id, {"origin": "requery", "variation": kind}) for id, kind in _queries(tuned)])
    return tuned


def tuned_name(study: StudyRecord) -> str:
    """Name of the study of a study's re-queries."""
    return f"{study.name}.tuned"


def _stored(store: GraphStore, study: StudyRecord) -> StudyRecord | None:
    try:
        return store.study(tuned_name(study))
    except NotFoundError:
        return None


def _queries(tuned: StudyRecord) -> list[tuple[str, str]]:
    return [(id, variation) for id, variation in tuned.settings["queries"]]


def allowed_trials(store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those of the trials whose architectures keep the study's constraints, which may be tighter than they were."""
    if not study.settings.get("constraints"):
        return list(trials)
    candidates = study_candidates(store, study)
    return [trial for trial in trials if candidates.allowed[candidates.index[trial.architecture]]]


def best_with_tuned(
    store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord]
) -> tuple[TrialRecord, str] | None:
    """The best trial of a study and of its re-queries that keeps the study's constraints, of equals the study's own.

    Args:
        store: where they are.
        study: the study.
        trials: all of its trials.

    Returns:
        The trial, and the variation of the recipe that it was trained by, empty for the study's own recipe; ``None``
        if no trial has a value. Scores by different recipes say what was reached, not which architecture is better.
    """
    tuned = _stored(store, study)
    requeries = [] if tuned is None else store.trials(tuned.name)
    kept = allowed_trials(store, study, [*trials, *requeries])
    found = [best_trial(trial for trial in kept if (trial.study == study.name) is own) for own in (True, False)]
    best = max((trial for trial in found if trial is not None), key=lambda trial: trial.value or 0.0, default=None)
    return None if best is None else (best, str(best.info.get("variation", "")))
