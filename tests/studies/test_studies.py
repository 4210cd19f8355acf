"""Studies on known scores: what was cut goes on as if nothing had happened."""

import dataclasses
import math

import pytest

from explorer.analysis.quantities import Objective
from explorer.errors import DataError, InputError
from explorer.progress import SilentReporter
from explorer.search.registry import POLICIES
from explorer.studies.driver import best_so_far, run_known
from explorer.studies.executors.local import LocalExecutor
from explorer.studies.managing import open_study
from explorer.studies.spec import External
from explorer.studies.stages import run_study
from explorer.testing.searches import known_search, search
from graphstore.records import ScoreRecord, StudyState, TrialStatus


def plan(policy, name="study", budget=18, seed=0, **changes):
    return known_search(name, "small", policy, budget, seed=seed, **changes)


def run(store, a_plan, stop=lambda: False):
    return run_known(store, open_study(store, a_plan), SilentReporter(), stop)


def sequence(store, name="study"):
    return [trial.architecture for trial in store.trials(name)]


def test_the_curve_follows_the_order_in_which_trials_finished(store):
    run(store, plan("random", budget=6))
    trials = store.trials("study")
    late = dataclasses.replace(trials[0], value=10.0, finished=trials[-1].finished + 1)
    failed = dataclasses.replace(trials[1], value=None)
    curve = best_so_far([late, failed, *trials[2:]])
    assert len(curve) == 5
    assert curve[-1] == 10.0
    assert curve[0] == trials[2].value


@pytest.mark.parametrize("policy", POLICIES)
def test_values_are_the_scores_and_a_stopped_study_goes_on_as_if_it_had_not_been_stopped(store, policy):
    assert run(store, plan(policy, "whole", 13)).state is StudyState.DONE
    trials = store.trials("whole")
    known = {score.architecture: score.value for score in store.scores(space="small", task="known")}
    assert len({trial.architecture for trial in trials}) == 13
    assert all(trial.state is TrialStatus.COMPLETE and trial.value == known[trial.architecture] for trial in trials)
    curve = best_so_far(trials)
    assert curve == sorted(curve)
    assert curve[-1] == max(trial.value for trial in trials)
    answers = iter([False, False, True])
    stopped = run(store, plan(policy, "cut", 13), lambda: next(answers))
    assert stopped.state is StudyState.STOPPED
    assert len(store.trials("cut")) == 6
    assert run(store, plan(policy, "cut", 13)).state is StudyState.DONE
    assert sequence(store, "cut") == sequence(store, "whole")


def test_a_study_is_run_as_its_evaluation_says(store):
    with LocalExecutor(1) as place:
        known = run_study(store, open_study(store, plan("random")), place, SilentReporter(), lambda: False)
        elsewhere = open_study(store, search("asked", "small", evaluation=External()))
        with pytest.raises(InputError, match="be evaluated here"):
            run_study(store, elsewhere, place, SilentReporter(), lambda: False)
    assert known.state is StudyState.DONE
    assert store.trials("asked") == []


def test_a_trial_whose_owner_died_is_taken_up_again(store):
    a_plan = plan("random")
    study = open_study(store, a_plan)
    answers = iter([False, True])
    run_known(store, study, SilentReporter(), lambda: next(answers))
    (trial,) = store.add_trials("study", [(free_architecture(store), {})])
    claimed = store.claim_trial("study", "elsewhere:1", 60.0, now=0.0)
    assert claimed.number == trial.number
    run(store, a_plan)
    done = store.trials("study")[trial.number]
    assert (done.state, done.attempt) == (TrialStatus.COMPLETE, 2)


def free_architecture(store):
    used = set(sequence(store))
    return next(s.id for s in store.summaries("small") if s.id not in used)


def test_a_larger_budget_extends_and_a_smaller_one_does_not_shrink(store):
    run(store, plan("random", budget=6))
    first = sequence(store)
    run(store, plan("random", budget=12))
    assert sequence(store)[:6] == first
    assert len(sequence(store)) == 12
    run(store, plan("random", budget=3))
    assert len(sequence(store)) == 12


def test_an_exhausted_space_ends_the_study(store):
    assert run(store, plan("evolution", budget=500)).state is StudyState.DONE
    assert len(sequence(store)) == 60


@pytest.mark.parametrize("change", [{"policy": "evolution"}, {"seed": 1}, {"objectives": (Objective("other"),)}])
def test_a_study_keeps_the_choices_it_was_started_with(store, change):
    run(store, plan("random", budget=3))
    with pytest.raises(InputError, match=next(iter(change))):
        open_study(store, dataclasses.replace(plan("random"), **change))
    assert len(sequence(store)) == 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "../x"}, "study name"),
        ({"name": ""}, "study name"),
        ({"policy": "best"}, "policy"),
        ({"budget": 0}, "budget"),
        ({"budget": 10**9}, "budget"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_spec_that_breaks_a_rule(change, named):
    with pytest.raises(InputError, match=named):
        dataclasses.replace(plan("random"), **change)


def test_scores_that_are_not_comparable_never_mix(store):
    id = store.summaries("small")[0].id
    store.add_scores([ScoreRecord(id, "known", "accuracy", 0.9, "data", "half", "recipe", 0, "table:x")])
    with pytest.raises(DataError, match="comparable"):
        run(store, plan("random"))


def test_one_metric_of_a_task_is_an_objective(store):
    ids = [summary.id for summary in store.summaries("small")][:5]
    store.add_scores(
        [
            ScoreRecord(id, "known", metric, -float(n), "data", "full", "recipe", 0, "mine")
            for n, id in enumerate(ids)
            for metric in ("negative loss", "perplexity")
        ]
    )
    with pytest.raises(DataError, match="as in known:accuracy"):
        run(store, plan("random"))
    run(
        store, dataclasses.replace(plan("random", budget=9), name="one", objectives=(Objective("known:negative loss"),))
    )
    assert {t.architecture: t.value for t in store.trials("one")} == {id: -float(n) for n, id in enumerate(ids)}
    # A search would look for the worst of them.
    with pytest.raises(DataError, match="scores for which higher is better"):
        run(store, dataclasses.replace(plan("random"), name="two", objectives=(Objective("known:perplexity"),)))


def test_an_unknown_objective_lists_the_known_ones(store):
    with pytest.raises(DataError, match="known"):
        run(store, dataclasses.replace(plan("random"), objectives=(Objective("unknown"),)))


def test_several_scores_of_one_architecture_count_as_their_mean(store):
    id = store.summaries("small")[0].id
    (old,) = store.scores(architecture=id, task="known")
    store.add_scores([dataclasses.replace(old, value=old.value + 0.5, source="table:again")])
    run(store, plan("random", budget=60))
    trial = next(t for t in store.trials("study") if t.architecture == id)
    assert math.isclose(trial.value, old.value + 0.25)
