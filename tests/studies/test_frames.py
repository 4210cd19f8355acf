"""The frames of figures against the store and against naive counting."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.analysis.pareto import pareto_front
from explorer.errors import InputError
from explorer.progress import SilentReporter
from explorer.search import Candidates
from explorer.search.registry import make_policy
from explorer.studies import frames as pictures
from explorer.studies.driver import run_known
from explorer.studies.managing import open_study
from explorer.studies.spec import External, Known, Level, StudySpec, Trained
from explorer.testing.searches import known_search
from graphstore.queries import ArchitectureQuery, Condition, Fact, Sort
from graphstore.records import MeasurementRecord, ScoreKind, StudyState, TrialRecord, TrialStatus


def study(name, policy="random", state=StudyState.DONE, **fields):
    return known_search(name, "small", policy, 9, **{"batch": 1, **fields}).record(state, 0.0)


def trial(number, value, started=0.0, finished=0.0, state=TrialStatus.COMPLETE, attempt=1, **info):
    owner = "here:1" if state is TrialStatus.RUNNING else ""
    return TrialRecord(
        "s", number, f"a{number}", state, attempt, 1, owner, 0.0, value, "", info, 0.0, started, finished
    )  # fmt: skip


def run(store, name, policy="random", budget=9, seed=0, **changes):
    spec = known_search(name, "small", policy, budget, seed=seed, **{"batch": 1, **changes})
    return run_known(store, open_study(store, spec), SilentReporter(), lambda: False)


def test_history_follows_the_order_of_ending_and_leaves_out_what_has_no_value():
    trials = [
        trial(0, 0.3, finished=5.0),
        trial(1, 0.5, finished=9.0),
        trial(2, 0.4, finished=1.0),
        trial(3, None, finished=2.0, state=TrialStatus.FAILED),
        trial(4, math.nan, finished=3.0),
        trial(5, math.inf, finished=4.0),
        trial(6, None, state=TrialStatus.RUNNING),
    ]
    frame = pictures.history_frame([study("s", state=StudyState.OPEN)], {"s": trials}, best_known=0.6)
    assert frame["best"].tolist() == [0.4, 0.4, 0.5]
    assert frame["evaluations"].tolist() == [1, 2, 3]
    assert frame["regret"].tolist() == pytest.approx([0.2, 0.2, 0.1])
    assert not frame["done"].any()
    assert pictures.history_frame([study("s")], {"s": []}).empty
    assert pictures.history_frame([study("s")], {"s": trials})["regret"].isna().all()


@settings(max_examples=25)
@given(st.lists(st.lists(st.floats(-1, 1), min_size=2, max_size=6), min_size=1, max_size=5))
def test_bands_hold_the_median_of_what_all_finished_studies_have_reached(values):
    rows = [
        (f"s{n}", "random", 0, True, number, best, 0.0)
        for n, own in enumerate(values)
        for number, best in enumerate(np.maximum.accumulate(own), start=1)
    ]
    rows += [("open", "random", 0, False, 1, 9.0, 0.0)]
    names = ["study", "policy", "seed", "done", "evaluations", "best", "regret"]
    band = pictures.history_bands(pd.DataFrame(rows, columns=names))
    if len(values) < pictures.SEVERAL:
        assert band.empty
        return
    reached = min(map(len, values))
    expected = np.median([np.maximum.accumulate(own)[:reached] for own in values], axis=0)
    assert band["median"].to_numpy() == pytest.approx(expected)
    assert band["evaluations"].tolist() == list(range(1, reached + 1))
    assert (band["low"] <= band["median"] + 1e-12).all()
    assert (band["median"] <= band["high"] + 1e-12).all()
    assert set(band["studies"]) == {len(values)}


def test_a_band_is_the_bootstrap_of_the_median():
    values = np.random.default_rng(3).normal(size=25)
    rows = [(f"s{n}", "p", 0, True, 1, value, 0.0) for n, value in enumerate(values)]
    names = ["study", "policy", "seed", "done", "evaluations", "best", "regret"]
    band = pictures.history_bands(pd.DataFrame(rows, columns=names)).iloc[0]
    from scipy.stats import bootstrap

    told = bootstrap((values,), np.median, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1))
    # Both are bootstraps of 25 values: their ends are order statistics that differ by a neighbour at most.
    gaps = np.diff(np.sort(values)).max()
    assert abs(band["low"] - told.confidence_interval.low) <= gaps
    assert abs(band["high"] - told.confidence_interval.high) <= gaps


def test_studies_by_name_and_pattern(store):
    for name in ("x-1", "x-2", "y"):
        store.create_study(study(name))
    store.create_study(study("other", score="else"))
    assert [one.name for one in pictures.find_studies(store, ["y", "x-*", "x-1"])] == ["y", "x-1", "x-2"]
    with pytest.raises(InputError, match="nothing"):
        pictures.find_studies(store, ["nothing*"])
    with pytest.raises(InputError, match="comparable with x-1"):
        pictures.find_studies(store, ["x-1", "other"])


def test_only_like_studies_are_compared():
    known = study("random", batch=5)
    assert pictures.comparable(known) == pictures.comparable(study("boshnas", batch=9))
    assert pictures.comparable(known) != pictures.comparable(study("random", evaluation=Known(fidelity="half")))
    trained = study("random", evaluation=Trained())
    assert pictures.comparable(known) != pictures.comparable(trained)
    assert pictures.comparable(trained) == pictures.comparable(study("boshnas", evaluation=Trained(transfer="ordered")))
    assert pictures.comparable(trained) != pictures.comparable(study("random", evaluation=Trained(recipe="quick")))
    assert pictures.comparable(trained) != pictures.comparable(study("random", evaluation=External()))


def test_regret_ends_at_nothing_where_everything_was_tried(store):
    record = run(store, "all", budget=60)
    best = pictures.best_known(store, record)
    assert best == max(score.value for score in store.scores(space="small", task="known"))
    frame = pictures.history_frame([record], {"all": store.trials("all")}, best)
    assert frame["regret"].iloc[-1] == 0.0
    assert (frame["regret"].diff().dropna() <= 0).all()
    assert pictures.best_known(store, study("trained", evaluation=Trained())) is None


def test_the_timeline_puts_no_two_at_once_into_a_lane():
    trials = [
        trial(0, 0.1, 10.0, 20.0, host="one"),
        trial(1, 0.1, 12.0, 15.0, host="one"),
        trial(2, 0.1, 15.0, 18.0, host="one"),
        trial(3, None, 11.0, 13.0, TrialStatus.FAILED, 2, host="two"),
        trial(4, None, 21.0, 0.0, TrialStatus.RUNNING),
        trial(5, None, 22.0, 0.0, TrialStatus.STALE),
        trial(6, None, 0.0, 0.0, TrialStatus.WAITING),
    ]
    frame = pictures.timeline_frame([study("s")], {"s": trials}, now=30.0)
    assert frame["number"].tolist() == [0, 3, 1, 2, 4, 5]
    assert dict(zip(frame["number"], frame["lane"], strict=True)) == {0: 0, 1: 1, 2: 1, 3: 0, 4: 0, 5: 0}
    assert dict(zip(frame["number"], frame["ended"], strict=True)) == {0: 20, 1: 15, 2: 18, 3: 13, 4: 30, 5: 22}
    assert frame.set_index("number").loc[3, ["state", "attempt", "host"]].tolist() == ["failed", 2, "two"]
    assert frame.set_index("number").loc[4, "host"] == "here"


def test_the_pareto_set_is_that_of_the_known_scores(store):
    run(store, "all", budget=60)
    values = pictures.trial_values({"all": store.trials("all")})
    points, front = pictures.pareto_points(store, values, ["parameters"])
    key = ScoreKind("known")
    question = ArchitectureQuery("small", conditions=(Condition(key),))
    found = pareto_front(store, question, [Sort(Fact.PARAMETERS), Sort(key, True)])
    assert set(front) == {one.summary.id for one in found.members}
    known = {score.architecture: score.value for score in store.scores(space="small", task="known")}
    assert points["value"].to_dict() == known
    id = points.index[0]
    store.add_measurements([MeasurementRecord(id, "pi", "latency", 0.2, "s")])
    for text in ("latency@pi", "pi latency"):
        points, front = pictures.pareto_points(store, values, [text])
        assert points.index.tolist() == front.tolist() == [id]
    for text, told in (("energy@pi", "quantity must be one of pi: latency"), ("known", "against must be parameters")):
        with pytest.raises(InputError, match=told):
            pictures.pareto_points(store, values, [text])


def test_weakly_dominated_architectures_are_not_in_the_pareto_set(store):
    ids = store.architecture_ids("small")
    sizes = {one.id: one.parameters for one in store.summaries(ids=ids)}
    small, large = min(ids, key=sizes.__getitem__), max(ids, key=sizes.__getitem__)
    assert sizes[small] < sizes[large]
    points, front = pictures.pareto_points(store, pd.Series({small: 0.5, large: 0.5}), ["parameters"])
    assert (len(points), front.tolist()) == (2, [small])


@pytest.mark.parametrize("policy", ["boshnas", "boshnas_paper"])
def test_the_belief_is_the_one_the_policy_chose_by(store, policy):
    record = run(store, "study", policy, budget=8)
    trials = store.trials("study")
    posterior = pictures.posterior_frame(store, record, trials[:7])
    assert len(posterior) == 60
    chosen, told = trials[7], trials[7].info["acquisition"]
    for name in ("mean", "aleatoric", "epistemic", "ucb"):
        assert posterior.at[chosen.architecture, name] == pytest.approx(told[name], abs=1e-6)
    with pytest.raises(InputError, match="at least 3 complete"):
        pictures.posterior_frame(store, record, trials[:2])


def test_the_belief_of_a_study_that_goes_on_is_of_all_that_was_learned(store):
    whole = run(store, "whole", "boshnas", budget=8)
    trials = store.trials("whole")
    level = Level(of="whole", number=2, prior=(("whole", 5),))
    later = dataclasses.replace(StudySpec.of(whole), name="later", level=level).record()
    own = [dataclasses.replace(trial, number=number) for number, trial in enumerate(trials[5:])]
    of_both, of_one = pictures.posterior_frame(store, later, own), pictures.posterior_frame(store, whole, trials)
    pd.testing.assert_frame_equal(of_both, of_one)


def test_a_policy_without_a_belief_says_so(store):
    record = run(store, "study", budget=4)
    with pytest.raises(InputError, match="have a posterior"):
        pictures.posterior_frame(store, record, store.trials("study"))
    candidates = Candidates(("a",), np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64))
    assert not isinstance(make_policy("evolution", candidates, 0), pictures.HasPosterior)
    assert isinstance(make_policy("boshnas", candidates, 0), pictures.HasPosterior)
