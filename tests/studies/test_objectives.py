"""Objectives and constraints of a study: what they mean, and studies that keep them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from explorer.analysis.quantities import Direction, Objective
from explorer.errors import InputError
from explorer.measure.predictor import DevicePredictor
from explorer.progress import SilentReporter
from explorer.space.formats import from_json
from explorer.studies.candidates import space_candidates
from explorer.studies.driver import run_known
from explorer.studies.managing import open_study
from explorer.studies.objectives import (
    check_objectives,
    cost_column,
    parse_constraint,
    parse_cost,
    read_constraints,
    read_objectives,
    study_candidates,
)
from explorer.studies.spec import StudySpec
from explorer.testing.searches import known_search
from graphstore.queries import Fact, MeasurementKey, Range
from graphstore.records import MeasurementRecord

DEVICE = "raspberry pi 4"


def plan(policy="boshnas", name="study", budget=18, **fields):
    return known_search(name, "small", policy, budget, **fields)


def run(store, a_plan, stop=lambda: False):
    return run_known(store, open_study(store, a_plan), SilentReporter(), stop)


def measure(store, ids):
    """Latencies that grow with the size, and not quite smoothly."""
    found = {s.id: s for s in store.summaries("small")}
    values = {id: 1e-8 * found[id].parameters * (1.0 + 0.2 * (n % 3)) for n, id in enumerate(ids)}
    store.add_measurements(
        [MeasurementRecord(id, DEVICE, "latency_b1_l128_fp32", value, "s") for id, value in values.items()]
    )
    return values


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("mean", None),
        ("SST-2", None),
        ("heterogeneity", None),
        ("parameters", Fact.PARAMETERS),
        ("latency@raspberry pi", MeasurementKey("raspberry pi", "latency")),
    ],
)
def test_costs_and_scores(text, cost):
    assert parse_cost(text) == cost


@pytest.mark.parametrize(
    "text", ["-mean", "minimise:mean", "maximise:parameters", "maximise:latency@cpu", "", "-", "@cpu", "latency@"]
)
def test_what_is_no_objective_of_a_search(text):
    with pytest.raises(InputError, match=r"(objective|measurement) must"):
        read_objectives(["score", text])


def test_objectives_are_one_score_and_costs():
    assert read_objectives(["mean"]) == (Objective("mean", Direction.MAXIMISE),)
    found = read_objectives(["parameters", "maximise:SST-2", "minimise: latency@x"])
    assert found == (
        Objective("SST-2", Direction.MAXIMISE),
        Objective("parameters", Direction.MINIMISE),
        Objective("latency@x", Direction.MINIMISE),
    )
    assert [str(one) for one in found] == ["maximise:SST-2", "minimise:parameters", "minimise:latency@x"]
    assert read_objectives([str(one) for one in found]) == found
    assert read_objectives(["-parameters", "SST-2", "- latency@x"]) == found


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["parameters"],
        ["mean", "SST-2"],
        ["mean", "flops", "minimise:flops"],
        ["mean", "parameters", "flops", "depth"],
    ],
)
def test_objectives_that_break_a_rule(texts):
    with pytest.raises(InputError, match="objectives must"):
        read_objectives(texts)


def test_constraints():
    assert parse_constraint("parameters<=200K") == (Fact.PARAMETERS, Range(None, 200_000))
    assert parse_constraint("latency@raspberry pi 0.1..0.5") == (
        MeasurementKey("raspberry pi", "latency"),
        Range(0.1, 0.5),
    )
    assert read_constraints([]) == ()
    assert read_constraints(["depth = 2", "depth = 2"]) == ("depth = 2",)


@pytest.mark.parametrize("text", ["parameters", "mean>=0.8", "-parameters<=2", "latency@<=3", "parameters<=x", "<=3"])
def test_constraints_that_break_a_rule(text):
    with pytest.raises(InputError, match="must"):
        read_constraints([text])


def test_a_study_without_them_has_plain_candidates(store):
    found = study_candidates(store, plan())
    assert found.cost_names == ()
    assert found.ids == space_candidates(store, "small").ids
    assert found.allowed.all()


def test_costs_are_those_of_the_architectures(store):
    found = study_candidates(store, plan(costs=["parameters", "depth"]))
    facts = {s.id: (s.parameters, s.depth) for s in store.summaries("small")}
    assert found.cost_names == ("parameters", "depth")
    assert [tuple(row) for row in found.costs] == [facts[id] for id in found.ids]
    assert not found.cost_errors.any()


def test_a_device_tells_what_was_measured_and_predicts_the_rest(store):
    ids = space_candidates(store, "small").ids
    values = measure(store, ids[:20])
    column = cost_column(store, ids, MeasurementKey("raspberry", "latency"))
    assert column.values[:20].tolist() == list(values.values())
    assert not column.errors[:20].any()
    specs = {s.id: from_json(s.spec) for s in store.summaries("small")}
    rows = sorted(ids[:20])
    learned = DevicePredictor.fit([specs[id] for id in rows], [values[id] for id in rows])
    assert column.values[20:] == pytest.approx([e.value for e in learned.predict([specs[id] for id in ids[20:]])])
    assert np.all(column.errors[20:] == learned.spread)
    assert learned.spread > 0.01


def test_a_predicted_cost_keeps_a_constraint_with_its_whole_error_bar(store):
    ids = space_candidates(store, "small").ids
    measure(store, ids[:20])
    column = cost_column(store, ids, MeasurementKey(DEVICE, "latency"))
    limit = float(np.median(column.values))
    allowed = study_candidates(store, plan(constraints=[f"latency@{DEVICE}<={limit!r}"])).allowed
    high = column.values * np.exp(column.errors)
    assert allowed.tolist() == (high <= limit).tolist()
    assert (column.values[~allowed] <= limit).any()  # some that the estimate alone would have let through
    low = column.values * np.exp(-column.errors)
    assert column.keeps(Range(limit, None)).tolist() == (low >= limit).tolist()


@pytest.mark.parametrize("policy", ["boshnas", "nsga2", "random"])
def test_a_study_keeps_its_constraints_and_goes_on_as_if_it_had_not_been_stopped(store, policy):
    sizes = {s.id: s.parameters for s in store.summaries("small")}
    limit = sorted(sizes.values())[40]
    settings = {"costs": ["flops"], "constraints": [f"parameters<={limit}"]}
    run(store, plan(policy, "whole", **settings))
    answers = iter([False, False, True])
    run(store, plan(policy, "cut", **settings), lambda: next(answers))
    run(store, plan(policy, "cut", **settings))
    trials = {name: [t.architecture for t in store.trials(name)] for name in ("whole", "cut")}
    assert trials["whole"] == trials["cut"]
    assert len(trials["whole"]) == 18
    assert all(sizes[id] <= limit for id in trials["whole"])


def test_constraints_are_tightened_on_resume_and_what_breaks_them_stays(store):
    sizes = {s.id: s.parameters for s in store.summaries("small")}
    limit = int(np.median(list(sizes.values())))
    run(store, plan(budget=9))
    before = [t.architecture for t in store.trials("study")]
    assert any(sizes[id] > limit for id in before)
    run(store, plan(constraints=[f"parameters<={limit}"]))
    assert StudySpec.of(store.study("study")).constraints == (f"parameters<={limit}",)
    after = [t.architecture for t in store.trials("study")]
    assert after[:9] == before
    assert len(after) == 18
    assert all(sizes[id] <= limit for id in after[9:])


def test_constraints_that_contradict_those_there_are_change_nothing(store):
    limit = int(np.median([s.parameters for s in store.summaries("small")]))
    run(store, plan(budget=3, constraints=[f"parameters<={limit}"]))
    before = store.study("study")
    with pytest.raises(InputError, match="leave at least one"):
        run(store, plan(budget=6, constraints=[f"parameters>{limit}"]))
    assert store.study("study") == before


def test_proposals_of_a_study_say_what_they_cost(store):
    ids = space_candidates(store, "small").ids
    values = measure(store, ids[:20])
    name = f"latency@{DEVICE}"
    run(store, plan(costs=[name]))
    for trial in store.trials("study")[4:]:
        figures = trial.info["acquisition"]
        if trial.info["origin"] == "optimise":
            assert (f"{name} error" in figures) == (trial.architecture not in values)
            assert math.isclose(figures[name], values.get(trial.architecture, figures[name]))
            assert figures["gain"] >= 0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"costs": ["latency@toaster"]}, "device"),
        ({"costs": [f"warmth@{DEVICE}"]}, "quantity"),
        ({"constraints": [f"latency@{DEVICE}<=1"]}, "measurements"),
        ({"constraints": ["parameters<=3"]}, "constraints"),
    ],
)
def test_what_a_study_cannot_do_is_said_before_it_starts(store, settings, named):
    measure(store, space_candidates(store, "small").ids[:3])
    with pytest.raises(InputError, match=named):
        check_objectives(store, plan(**settings))


def test_a_policy_that_knows_no_costs_is_refused(store):
    with pytest.raises(InputError, match="boshnas, random, nsga2"):
        check_objectives(store, plan("evolution", costs=["parameters"]))
    check_objectives(store, plan("evolution", constraints=["depth=4"]))
