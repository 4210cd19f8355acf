"""Re-queries: which architectures are trained again, by which recipes, and what is kept of it."""

import time
from dataclasses import replace

import numpy as np
import pytest

from explorer.cli.search_studies import status
from explorer.library.library import Library
from explorer.progress import SilentReporter
from explorer.records import Trial
from explorer.search import Candidates
from explorer.search.random import RandomSearch
from explorer.space.spec import ArchitectureSpec, LayerSpec
from explorer.studies.driver import StudyDriver, close_study
from explorer.studies.evaluation import TrainingEvaluator
from explorer.studies.executors.contract import WorkerOrder
from explorer.studies.managing import extend_study, open_study, prepare_resume
from explorer.studies.objectives import study_candidates
from explorer.studies.reports import study_report, study_status
from explorer.studies.requeries import (
    VARIATIONS,
    best_with_tuned,
    tuned_study,
    varied,
    worth_another_training,
)
from explorer.studies.spec import Stages, StudySpec, Trained
from explorer.studies.stages import run_stages
from explorer.testing.searches import search
from explorer.training.recipe import RECIPES, recipe_named
from graphstore import open_store
from graphstore.records import StudyState, TrialStatus

CANDIDATES = Candidates(tuple("abcdefgh"), np.eye(8), np.zeros((8, 1), dtype=np.int64))


class Doubting(RandomSearch):
    """A policy with hand-set beliefs about chance."""

    chance: dict[str, float] | None = None

    def aleatoric(self, architectures):
        return None if self.chance is None else np.array([self.chance[id] for id in architectures])


def doubting(values, chance, allowed=None):
    candidates = CANDIDATES if allowed is None else replace(CANDIDATES, allowed=np.array(allowed))
    policy = Doubting(candidates, 0, {})
    policy.chance = chance
    policy.tell([Trial(i, id, value) for i, (id, value) in enumerate(values.items())])
    return policy


VALUES = {"a": 0.5, "b": 0.8, "c": 0.7, "d": 0.79, "e": 0.3}


@pytest.mark.parametrize(
    ("chance", "most", "chosen"),
    [
        ({"a": 0.1, "b": 0.1, "c": 0.15, "d": 0.1, "e": 0.1}, 5, ["b", "d", "c"]),
        ({"a": 0.3, "b": 0.1, "c": 0.09, "d": 0.1, "e": 0.49}, 5, ["b", "d", "a"]),
        ({"a": 0.1, "b": 0.1, "c": 0.1, "d": 0.1, "e": 0.5}, 2, ["b", "d"]),
        ({"a": 0.001, "b": 0.001, "c": 0.001, "d": 0.0, "e": 0.001}, 5, []),  # next to no chance in the scores
        (None, 5, []),
    ],
)
def test_those_that_chance_alone_may_have_kept_from_being_the_best(chance, most, chosen):
    assert worth_another_training(doubting(VALUES, chance), most) == chosen


def test_what_the_constraints_forbid_is_not_trained_again():
    chance = dict.fromkeys(VALUES, 0.15)
    allowed = [id != "b" for id in CANDIDATES.ids]
    assert worth_another_training(doubting(VALUES, chance, allowed), 5) == ["d", "c"]
    assert worth_another_training(doubting({}, chance), 5) == []


@pytest.mark.parametrize("name", RECIPES)
def test_variations_cost_what_the_recipe_costs_and_do_not_mix_with_it(name):
    recipe = replace(recipe_named(name), tune_rates=(1e-3, 2e-3))
    found = {variation: varied(recipe, 7, variation) for variation in VARIATIONS}
    for other, seed in found.values():
        assert other.pretrain_steps * other.pretrain_batch == recipe.pretrain_steps * recipe.pretrain_batch
        assert other.pretrain_batch % other.pretrain_pieces == 0
        assert (other.finetune_steps, other.finetune_batch) == (recipe.finetune_steps, recipe.finetune_batch)
        assert (other.fidelity, other.digest, seed) != (recipe.fidelity, recipe.digest, 7)
    assert found["higher rates"][0].pretrain_rate == 2 * recipe.pretrain_rate
    assert found["lower rates"][0].tune_rates == (0.5e-3, 1e-3)
    assert found["more, smaller steps"][0].pretrain_steps == 2 * recipe.pretrain_steps
    assert found["another seed"] == (recipe, 8)
    assert varied(recipe, 7, "") == (recipe, 7)


SEARCH = search("s", "small", "boshnas", budget=15, initial=4, stop_when_converged=True, stages=Stages(requeries=5))


def noisy(store):
    """Scores with chance in them: alike for architectures whatever they are."""
    rng = np.random.default_rng(3)
    return {id: float(rng.normal()) for id in store.architecture_ids("small")}


def evaluate(store, study):
    values = noisy(store)
    driver = StudyDriver(store, study, study_candidates(store, StudySpec.of(study)))
    while driver.refill(5) or not driver.finished():
        while (trial := store.claim_trial(study.name, "test", 60.0, time.time())) is not None:
            better = 10.0 if trial.info.get("variation") == VARIATIONS[1] else 0.0
            value = values[trial.architecture] + better
            store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=value)
    return close_study(store, driver)


def run(store):
    study = open_study(store, SEARCH)
    return run_stages(store, study, lambda one: evaluate(store, one), SilentReporter(), lambda: False)


def test_a_companion_study_trains_the_best_again(store, capsys):
    study, tuned = run(store)
    assert (tuned.name, tuned.state) == ("s.tuned", StudyState.DONE)
    first = {trial.architecture: trial.value for trial in store.trials("s")}
    again = store.trials("s.tuned")
    assert 2 <= len(again) == StudySpec.of(tuned).budget <= 5
    values = [first[trial.architecture] for trial in again]
    assert values == sorted(values, reverse=True)
    assert values[0] == max(first.values())
    assert [trial.info["variation"] for trial in again] == [VARIATIONS[i % 4] for i in range(len(again))]
    report = study_report(store, study)
    assert report["best"]["value"] == max(first.values())
    assert report["tuned"]["value"] == again[1].value
    assert report["tuned"]["recipe"] == VARIATIONS[1]
    assert study_report(store, tuned)["tuned"] is None
    assert study_status(store, study)["tuned"] == report["tuned"]
    status("s", store.url)
    assert f"by {VARIATIONS[1]} of {again[1].architecture}" in " ".join(capsys.readouterr().out.split())
    best, variation = best_with_tuned(store, study, store.trials("s"))
    assert (best.study, best.number, variation) == ("s.tuned", 1, VARIATIONS[1])
    # Constraints that were tightened since count for both studies' trials.
    sizes = {id: store.architecture(id).parameters for id in first}
    limit = sizes[again[1].architecture] - 1
    (strict,) = prepare_resume(store, ["s"], [f"parameters<={limit}"])
    fitting = [t for t in (*store.trials("s"), *again) if sizes[t.architecture] <= limit]
    assert best_with_tuned(store, strict, store.trials("s"))[0].value == max(t.value for t in fitting)
    store.update_study("s", spec=study.spec)
    before = [(t.study, t.number, t.architecture, t.attempt) for t in (*store.trials("s"), *again)]
    run(store)  # as whoever resumes a finished search does
    assert before == [(t.study, t.number, t.architecture, t.attempt) for n in ("s", "s.tuned") for t in store.trials(n)]


def test_queries_are_chosen_once(store, monkeypatch):
    study = evaluate(store, open_study(store, SEARCH))
    assert best_with_tuned(store, study, store.trials("s"))[1] == ""
    with monkeypatch.context() as patch:
        patch.setattr(store, "add_trials", lambda *arguments: 1 / 0)  # dies between the two writes
        with pytest.raises(ZeroDivisionError):
            tuned_study(store, study)
    assert store.trials("s.tuned") == []
    chosen = StudySpec.of(store.study("s.tuned")).tuned.queries
    grown = extend_study(store, study, budget=25)
    evaluate(store, grown)
    tuned = tuned_study(store, grown)
    assert [(t.architecture, t.info["variation"]) for t in store.trials("s.tuned")] == list(chosen)
    assert StudySpec.of(tuned).tuned.queries == chosen
    assert tuned_study(store, tuned) is None


def test_a_varied_trial_is_trained_and_scored_by_its_own_recipe(tmp_path):
    spec = ArchitectureSpec((LayerSpec.per_layer(16, "sa", "sdp", 2, (16,)),))
    text = tmp_path / "words.txt"
    words = ["river", "garden", "bridge", "house", "market", "forest", "tower", "harbour"]
    documents = [
        "\n".join(f"The {words[(n + k) % 8]} number {n} is near the {words[n * k % 8]} of the town." for k in range(4))
        for n in range(80)
    ]
    text.write_text("\n\n".join(documents), encoding="utf-8")
    own = {"base": "quick", "pretrain_steps": 3, "finetune_steps": 2, "vocab_size": 300}
    evaluation, recipe = Trained(recipe=own, data=str(text), tasks=("order",)), recipe_named(own)
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        Library.build(store, "one", [spec], SilentReporter(), source="here")
        study = open_study(store, search("s.tuned", "one", budget=1, seed=3, evaluation=evaluation))
        evaluator = TrainingEvaluator(store, study, WorkerOrder(store.url, study.name, study.created, "", 1))
        (trial,) = store.add_trials(study.name, [(store.architecture_ids("one")[0], {})])
        folders = set()
        for variation in (VARIATIONS[0], VARIATIONS[3]):
            one = replace(trial, info={"variation": variation})
            done = evaluator.evaluate(one, lambda share, note: None, lambda score: None, lambda: False)
            expected, seed = varied(recipe, 3, variation)
            assert {(s.recipe, s.fidelity, s.seed) for s in done.scores} == {(expected.digest, expected.fidelity, seed)}
            folders.add(evaluator.folder(one))
        assert len(folders) == 2
