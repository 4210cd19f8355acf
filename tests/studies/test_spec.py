"""What a search is: its rules, its JSON form, and what an opened study leaves as it was."""

import dataclasses
import json
import math
import os
import random
import signal

import numpy as np
import pytest
import torch

from explorer.analysis.quantities import Direction, Objective
from explorer.errors import DataError, InputError
from explorer.search.registry import POLICIES
from explorer.studies.budgets import MAX_HOURS, MAX_TRIALS, check_budget, check_hours
from explorer.studies.checks import check_same
from explorer.studies.managing import open_study
from explorer.studies.spec import (
    DEFAULT_TRIALS,
    EvaluationKind,
    External,
    Inside,
    Known,
    Level,
    Stages,
    StudySpec,
    Trained,
    Tuned,
    default_budget,
    initial_design,
)
from explorer.study import Study
from explorer.testing.searches import known_search, search
from explorer.testing.study_probe import cheap_value

WHOLE = StudySpec(
    name="whole",
    space="small",
    evaluation=Trained(
        recipe={"base": "quick", "tune_rates": [0.1]}, tasks=("pair",), data="/text", transfer="ordered"
    ),
    policy="boshnas",
    policy_settings={"initial": 4, "alpha": 0.25, "embedding": False, "method": "gradient"},
    constraints=("parameters<=200K",),
    budget=7,
    hours=1.5,
    seed=3,
    batch=4,
    stop_when_converged=True,
    patience=6,
    stages=Stages(levels=3, level_size=50, requeries=2),
    level=Level(of="first", number=2, prior=(("first", 9),)),
    tuned=Tuned(of="other", queries=(("ab12", "higher rates"),)),
)
PLAIN = dataclasses.replace(WHOLE, stop_when_converged=False, patience=None, stages=Stages())
SEVERAL = dataclasses.replace(PLAIN, objectives=(Objective("mean"), Objective("latency@cpu", Direction.MINIMISE)))


@pytest.mark.parametrize(
    ("spec", "evaluation"),
    [
        (WHOLE, WHOLE.evaluation),
        (SEVERAL, WHOLE.evaluation),
        (PLAIN, Known(fidelity="full")),
        (PLAIN, Inside(supernet="/net", rows=8)),
        (SEVERAL, External()),
    ],
)
def test_a_spec_survives_json(spec, evaluation):
    spec = dataclasses.replace(spec, evaluation=evaluation)
    document = json.loads(json.dumps(spec.to_json(), allow_nan=False))
    assert StudySpec.from_json(document) == spec
    assert StudySpec.of(spec.record()) == spec
    # People who query the store find these by name.
    shown = {name: document[name] for name in ("name", "space", "policy", "objective", "seed", "budget", "hours")}
    assert shown == {
        "name": "whole", "space": "small", "policy": "boshnas", "objective": "mean", "seed": 3, "budget": 7,
        "hours": 1.5,
    }  # fmt: skip
    assert document["evaluation"]["kind"] == evaluation.kind


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"version": 4}, "version of the study's description must be from 1 to 3"),
        ({"version": None}, "version"),
        ({"surprise": 1}, "surprise"),
        ({"budget": "many"}, "budget: value must be a valid integer"),
        ({"evaluation": {"kind": "guessed"}}, "evaluation"),
        ({"evaluation": {"kind": "known", "fidelity": 3}}, r"fidelity"),
        ({"objectives": [{"name": "mean", "direction": "up"}]}, "objectives: 0.direction"),
        ({"stages": {"levels": 0}}, "levels"),
    ],
)
def test_a_damaged_description_names_the_field(change, named):
    record = WHOLE.record()
    damaged = dataclasses.replace(record, spec={**record.spec, **change})
    with pytest.raises(DataError, match=named):
        StudySpec.of(damaged)
    with pytest.raises(DataError, match="budget"):
        StudySpec.of(dataclasses.replace(record, spec={n: v for n, v in record.spec.items() if n != "budget"}))


def test_one_score_is_maximised_and_the_costs_are_minimised():
    assert (SEVERAL.objective, SEVERAL.costs) == ("mean", ("latency@cpu",))
    for objectives in ((), (Objective("a"), Objective("b")), (Objective("depth", Direction.MINIMISE),)):
        with pytest.raises(InputError, match="exactly one score"):
            dataclasses.replace(PLAIN, objectives=objectives)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": "no/name"}, "study name must be 1 to 80"),
        ({"name": "n" * 70, "level": None}, r"study name must leave room for '\.level9\.tuned'"),
        ({"policy": "magic"}, "policy must be one of"),
        ({"batch": 101}, "batch must be from 1 to 100"),
        ({"seed": -1}, "seed must be from 0"),
        ({"constraints": ("size<=3",)}, "constraint must be"),
        ({"policy_settings": {"initial": 1001}}, "initial must be from 1 to 1000"),
        ({"policy_settings": {"k": 1.0}}, "settings of policy boshnas"),
        ({"patience": 0}, "patience must be from 1"),
        ({"stages": Stages(levels=10)}, "levels must be from 1 to 9"),
        ({"stages": Stages(levels=2, level_size=9)}, "level size must be from 10"),
        ({"stages": Stages(level_size=50)}, "level size must come with levels"),
        ({"stages": Stages(requeries=11)}, "requeries must be from 1 to 10"),
        ({"evaluation": External()}, "requeries must belong to a study that trains"),
        ({"objectives": SEVERAL.objectives}, "come with one objective"),
        ({"policy": "random", "policy_settings": {"initial": 4}}, "initial must come with policy boshnas"),
        ({"policy": "evolution", "policy_settings": {}}, "stop_when_converged must come with policy boshnas"),
    ],
)
def test_a_spec_that_breaks_a_rule_is_not_made(changes, named):
    """Whoever makes it, and without a store; so nobody has to remember a check."""
    with pytest.raises(InputError, match=named):
        dataclasses.replace(WHOLE, **changes)
    with pytest.raises(DataError, match="study whole: "):
        StudySpec.of(dataclasses.replace(WHOLE.record(), spec={**WHOLE.to_json(), **_stored(changes)}))


def _stored(changes):
    """Changed fields as the store would have them."""
    parts = {name: dataclasses.asdict(part) for name, part in changes.items() if dataclasses.is_dataclass(part)}
    objectives = changes.get("objectives", ())
    listed = {"objectives": [dataclasses.asdict(one) for one in objectives]} if objectives else {}
    return {**changes, **parts, **listed}


@pytest.mark.parametrize("transfer", [None, ""])
def test_an_overlap_comes_with_a_method(transfer):
    with pytest.raises(InputError, match="come with a method of transfer"):
        Trained(transfer=transfer, transfer_overlap=0.5)
    assert Trained(transfer="ordered", transfer_overlap=0.5).transfer_overlap == 0.5
    # The method of a recipe of one's own counts, unless the study says otherwise.
    recipe = {"base": "quick", "transfer": "ordered"}
    assert Trained(recipe=recipe, transfer_overlap=0.5).transfer_overlap == 0.5
    with pytest.raises(InputError, match="transfer overlap"):
        Trained(recipe=recipe, transfer="", transfer_overlap=0.5)


def test_what_may_change_only_grows():
    """One rule, for who starts a study again, extends or tightens it, and for the levels that follow it."""
    grown = WHOLE.grown(9, 2.5, ["depth<=4", "parameters<=200K"])
    assert grown == dataclasses.replace(WHOLE, budget=9, hours=2.5, constraints=("parameters<=200K", "depth<=4"))
    assert WHOLE.grown() == WHOLE
    assert grown.grown(8, 2.0, ["depth<=4"]) == grown
    free = dataclasses.replace(WHOLE, hours=None)
    assert free.grown(3).hours is None
    assert free.grown(hours=0.5).hours == 0.5
    assert WHOLE.grown(hours=None).hours == 1.5


def test_default_budgets_are_in_one_place():
    assert {kind: default_budget(kind) for kind in EvaluationKind} == DEFAULT_TRIALS
    assert default_budget(EvaluationKind.TRAINED, hours=2.0) == 10_000


def test_policies_get_their_settings():
    settings = {"alpha": 0.5}
    spec = search("s", "small", "boshnas", batch=4, stop_when_converged=True, patience=3, policy_settings=settings)
    assert spec.settings_of_policy(9) == {"alpha": 0.5, "iteration": 4, "patience": 3, "began": 9}
    own = search("s", "small", "boshnas", policy_settings={"iteration": 2, "patience": 7})
    assert own.settings_of_policy(0) == {"iteration": 2, "patience": 7, "began": 0}
    assert search("s", "small", "evolution", initial=6).settings_of_policy(0) == {"initial": 6}
    assert initial_design("random", 6) == {}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"space": "nowhere"}, "space must be a built space"),
        ({"batch": 0}, "batch must be from 1 to 100"),
        ({"policy": "boshnas", "initial": 0}, "initial must be from 1 to 1000"),
        ({"policy": "evolution", "policy_settings": {"method": "gradient"}}, "settings of policy evolution"),
        ({"score": "nothing"}, "objective must be a task with scores"),
        ({"evaluation": Known(fidelity="half")}, "fidelity must be one of"),
        ({"evaluation": Trained(recipe="none")}, "recipe must be"),
        ({"evaluation": Trained(transfer="magic")}, "transfer"),
        ({"evaluation": Trained(recipe="quick"), "score": "SST-2"}, "objective must be one of"),
        ({"policy": "evolution", "costs": ["-depth"]}, "policy must be"),
        ({"costs": ["-latency@toaster"]}, "device"),
        ({"constraints": ["parameters<=3"]}, "constraints must"),
        ({"patience": 4}, "come with stop_when_converged"),
        ({"policy": "evolution", "initial": 3, "stages": Stages(levels=2)}, "built from a grammar"),
        ({"stop_when_converged": True}, "come with policy boshnas"),
        ({"name": "taken", "seed": 1}, "study taken must have the seed that it was started with"),
        ({"name": "taken", "policy": "evolution"}, "study taken must have the policy"),
    ],
)
def test_a_spec_checks_itself_against_the_store(store, changes, named):
    open_study(store, known_search("taken", "small"))
    before = store.studies()
    with pytest.raises(InputError, match=named):
        known_search(**{"name": "new", "space": "small", **changes}).check(store)
    assert store.studies() == before


@pytest.mark.parametrize("policy", POLICIES)
def test_a_sound_spec_passes(store, policy):
    spec = known_search("new", "small", policy)
    spec.check(store)
    open_study(store, spec)
    spec.check(store)
    dataclasses.replace(spec, budget=50, hours=2.0, constraints=("depth<=4",)).check(store)
    assert check_same(store, spec) == spec


def process_state():
    """What a process could notice: threads, random states, environment, signal handlers."""
    return (
        torch.get_num_threads(),
        torch.random.get_rng_state().tolist(),
        torch.are_deterministic_algorithms_enabled(),
        [str(part) for part in np.random.get_state()],
        random.getstate(),
        dict(os.environ),
        {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)},
    )


@pytest.mark.parametrize("policy", ["boshnas", "boshnas_paper", "evolution"])
def test_a_study_changes_nothing_of_the_callers_process(store, policy):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        before = process_state()
        with Study.open(store.url, "mine", space="small", policy=policy, budget=8, initial=4) as study:
            assert process_state() == before
            while asked := study.ask(2):
                assert process_state() == before
                for trial in asked:
                    study.tell(trial.number, cheap_value(trial.architecture))
            assert study.finished
        assert process_state() == before
    finally:
        torch.set_num_threads(threads)


def test_a_study_is_opened_by_its_spec(store):
    spec = search("mine", "small", "evolution", evaluation=External(), initial=3)
    with Study.open(store.url, spec) as study:
        assert StudySpec.of(study.record) == spec
        assert len(study.ask(2)) == 2
    with pytest.raises(InputError, match="seed"):
        Study.open(store.url, dataclasses.replace(spec, seed=1))


def test_a_study_opened_without_a_budget_gets_the_default(store):
    with Study.open(store.url, "one", space="small", policy="random") as study:
        assert StudySpec.of(study.record).budget == DEFAULT_TRIALS[EvaluationKind.EXTERNAL]
    with Study.open(store.url, "two", space="small", policy="random", hours=1.0) as study:
        assert StudySpec.of(study.record).budget == 10_000


def test_a_study_of_version_2_keeps_what_its_policy_did(store):
    """Newer settings get the value that changes nothing, and the command that started it starts it again."""
    plain = known_search("old", "small", "boshnas", 4)
    document = {**plain.to_json(), "version": 2}
    old = StudySpec.from_json(document)
    assert old.policy_settings == {**plain.policy_settings, "stall": 0}
    assert StudySpec.from_json({**document, "policy_settings": {"stall": 9}}).policy_settings == {"stall": 9}
    other = known_search("random", "small", "random", 4)
    assert StudySpec.from_json({**other.to_json(), "version": 2}) == other
    open_study(store, old)
    assert StudySpec.of(open_study(store, plain)) == old
    with pytest.raises(InputError, match="policy settings that it was started with"):
        open_study(store, dataclasses.replace(plain, policy_settings={"stall": 5}))
    open_study(store, dataclasses.replace(plain, name="new", policy_settings={"stall": 9}))
    with pytest.raises(InputError, match="policy settings that it was started with"):
        open_study(store, dataclasses.replace(plain, name="new"))


@pytest.mark.parametrize("value", [0, MAX_TRIALS + 1, 2.5, True, "3", [3], None, math.nan])
def test_a_number_of_trials_of_any_other_kind_is_refused(value):
    """For example when a study's budget grows."""
    check_budget(MAX_TRIALS)
    with pytest.raises(InputError, match="budget must be a whole number from 1"):
        check_budget(value)


@pytest.mark.parametrize("value", [0, MAX_HOURS + 1, True, "1.5", [1.5], None, math.nan, math.inf])
def test_a_number_of_hours_of_any_other_kind_is_refused(value):
    check_hours(MAX_HOURS)
    with pytest.raises(InputError, match="hours must be a number above 0"):
        check_hours(value)
