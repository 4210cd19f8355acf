"""Asking and telling: for people who train elsewhere."""

import dataclasses
import math
import re
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.records import TaskScore
from explorer.space.formats import from_json, from_model_dict
from explorer.studies.jobs import new_job
from explorer.studies.objectives import Objective
from explorer.studies.queueing import MANUAL
from explorer.studies.spec import External, StudySpec
from explorer.study import Study
from explorer.testing.study_probe import cheap_value
from graphstore import open_store
from graphstore.errors import LeaseLostError
from graphstore.records import JobState, StudyState, TrialStatus

DOCUMENT = Path(__file__).parents[2] / "docs" / "search.md"


def opened(store, name="asked", **choices):
    given = {"space": "small", "policy": "evolution", "budget": 6, "initial": 3, **choices}
    return Study.open(store.url, name, **given)


def test_ask_and_tell_until_the_budget_is_used(store):
    with opened(store) as study:
        first = study.ask(4)
        assert [one.number for one in first] == [0, 1, 2, 3]
        for one in first:
            assert one.spec == from_json(store.summaries(ids=[one.architecture])[0].spec)
            assert from_model_dict(one.model_dict) == one.spec
        study.tell(0, 0.5)
        study.tell(1, failed="no memory")
        study.tell(2, 0.9)
        study.tell(3, 0.9)
        rest = study.ask(4)
        assert [one.number for one in rest] == [4, 5]
        assert study.ask(4) == []
        assert not study.finished
        study.tell(4, 0.1)
        study.tell(5, 0.2)
        assert study.ask() == []
        assert study.finished
        assert study.best.number == 2
    trials = store.trials("asked")
    assert [trial.value for trial in trials] == [0.5, None, 0.9, 0.9, 0.1, 0.2]
    assert trials[1].reason == "no memory"
    assert store.study("asked").state is StudyState.DONE


def test_a_study_that_is_left_and_opened_again_makes_the_same_proposals(store):
    def some(study, batches):
        for _ in range(batches):
            for one in study.ask(2):
                study.tell(one.number, cheap_value(one.architecture))

    with opened(store, "whole", budget=8) as study:
        some(study, 4)
    for _ in range(4):
        with opened(store, "cut", budget=8) as study:
            some(study, 1)
    whole, cut = ([(t.architecture, t.info) for t in store.trials(name)] for name in ("whole", "cut"))
    assert whole == cut
    assert len(whole) == 8


@pytest.mark.parametrize(
    "outcome",
    [
        *({}, {"value": math.nan}, {"value": -math.inf}, {"value": 1.0, "failed": "both"}),
        *({"value": "0.5"}, {"value": True}, {"value": np.bool_(True)}, {"value": [0.5]}, {"value": 1 + 0j}),
        *({"value": 10**400}, {"failed": True}, {"failed": 0.5}, {"value": 0.5, "failed": None}),
    ],
)
def test_an_outcome_is_a_finite_value_or_a_reason(store, outcome):
    with opened(store) as study:
        study.ask()
        with pytest.raises(InputError, match="outcome"):
            study.tell(0, **outcome)
        assert study.trials[0].state is TrialStatus.RUNNING


@pytest.mark.parametrize("value", [1, np.float32(0.5), np.float64(0.25), np.int64(3), Fraction(1, 2)])
def test_any_real_number_is_a_value(store, value):
    with opened(store) as study:
        study.ask()
        assert study.tell(0, value).value == float(value)


@pytest.mark.parametrize("number", [True, "0", 0.0, None])
def test_the_number_of_a_trial_is_a_whole_number(store, number):
    with opened(store) as study:
        study.ask(2)
        with pytest.raises(InputError, match="number of the trial"):
            study.tell(number, 0.5)


def test_what_is_told_of_a_trial_that_is_not_held_says_why(store):
    with opened(store, owner="one") as one, opened(store, owner="two") as two:
        one.ask(3)
        one.tell(0, 0.5)
        assert one.tell(0, 0.5).value == 0.5
        with pytest.raises(LeaseLostError, match=r"has ended it already, as complete with 0\.5"):
            one.tell(0, 0.75)
        one.tell(1, failed="diverged")
        with pytest.raises(LeaseLostError, match=r"as failed because: 'diverged'"):
            one.tell(1, 0.75)
        for number, why in ((0, r"complete with 0\.5"), (1, "failed: diverged"), (2, "running, one's"), (9, "no such")):
            with pytest.raises(InputError, match=rf"trial {number} must be held by two, but got .{why}"):
                two.tell(number, 0.5)
        one.give_back(2)
        with pytest.raises(InputError, match=r"waiting, nobody's.*Ask for it again"):
            one.tell(2, 0.5)


def test_tell_and_ask_read_only_what_may_have_changed(store, monkeypatch):
    asked_for = []

    def noted(self, study, since=0, also=()):
        found = plain(self, study, since, also)
        asked_for.append(len(found))
        return found

    plain = type(store).trials
    monkeypatch.setattr(type(store), "trials", noted)
    with opened(store, policy="random", initial=None, budget=40, owner="one") as study:
        study.ask()  # One that is held all the time.
        for number in range(1, 40):
            asked_for.clear()
            (one,) = study.ask()
            assert one.number == number
            study.tell(number, 0.5)
            assert max(asked_for) <= 2
            assert len(asked_for) <= 6
        assert [trial.number for trial in study.trials] == list(range(40))


def test_run_evaluates_fails_and_calls_back(store):
    told = []

    def evaluate(asked):
        if asked.number == 1:
            raise RuntimeError("diverged")
        return math.inf if asked.number == 2 else cheap_value(asked.architecture)

    with opened(store) as study:
        best = study.run(evaluate, told.append)
        assert best == study.best
    assert [(trial.number, trial.state) for trial in told] == [(t.number, t.state) for t in store.trials("asked")]
    assert [trial.reason for trial in told[1:3]] == ["RuntimeError: diverged", "its value is inf"]


def test_an_interrupted_evaluation_is_given_back(store):
    def evaluate(asked):
        raise KeyboardInterrupt

    with opened(store) as study, pytest.raises(KeyboardInterrupt):
        study.run(evaluate)
    (trial,) = store.trials("asked")
    assert (trial.state, trial.attempt) == (TrialStatus.WAITING, 0)
    assert store.study("asked").state is StudyState.STOPPED


def test_scores_join_the_catalogue(store):
    score = TaskScore("mine", "accuracy", 0.7, 1.0, "data", "full", "recipe", 0, majority=0.6, chance=0.5)
    with opened(store) as study:
        (asked,) = study.ask()
        study.tell(asked.number, 0.7, scores=[score])
    (kept,) = store.scores(task="mine")
    assert (kept.architecture, kept.source) == (asked.architecture, "trained:asked/0")
    assert (kept.majority, kept.chance) == (0.6, 0.5)


def test_what_was_queued_by_hand_comes_next_and_counts(store):
    with opened(store, budget=3) as study:
        for one in study.ask(1):
            study.tell(one.number, 0.5)
        used = study.trials[0].architecture
        free = [summary.id for summary in store.summaries("small") if summary.id != used]
        queued = study.enqueue(free[0][:12])
        with pytest.raises(InputError, match="trial 1"):
            study.enqueue(free[0])
        (asked,) = study.ask(2)
        assert (asked.number, asked.architecture, asked.origin) == (queued.number, free[0], MANUAL)
        study.tell(asked.number, 0.4)
        assert study.enqueue(free[1]).number == 2
        assert StudySpec.of(study.record).budget == 3
        assert study.enqueue(free[2]).number == 3
        assert StudySpec.of(study.record).budget == 4


def test_a_study_is_started_once_and_then_found_by_its_name(store):
    with pytest.raises(InputError, match="none yet"):
        Study.open(store.url, "asked")
    with opened(store):
        pass
    with Study.open(store.url, "asked") as study:
        assert StudySpec.of(study.record).budget == 6
    with pytest.raises(InputError, match="policy"):
        opened(store, policy="random", initial=None)
    with pytest.raises(InputError, match="space"):
        opened(store, "other", space="nowhere")


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        ({"initial": "four"}, "policy evolution: initial"),
        ({"policy": "random"}, "initial must come with policy boshnas"),
        ({"policy_settings": {"method": "gradient"}}, "settings of policy evolution"),
        (
            {"objectives": ["mean", "minimise:parameters"], "policy": "random", "initial": None, "objective": "known"},
            "score 'known'",
        ),
        ({"objectives": "mean"}, "objectives must be a list of texts"),
        ({"stop_when_converged": True}, "come with policy boshnas"),
        ({"batch": 0}, "batch must be from 1"),
        ({"patience": 3}, "patience must come with"),
        ({"hours": math.nan}, "hours"),
        ({"budget": 0}, "budget"),
        ({"constraints": ["parameters<=1"]}, "at least one architecture"),
        ({"lease_s": 0.0}, "lease_s"),
        ({"lease_s": "60"}, "lease_s"),
        ({"objective": "-loss"}, "maximised if it is a score"),
        ({"objective": "\N{MINUS SIGN}loss"}, "maximised if it is a score"),
        ({"objective": "- loss", "objectives": ["- loss", "-parameters"]}, "maximised if it is a score"),
        ({"objective": "maximise:-loss"}, "be the name of a quantity"),
        ({"objective": 5}, "objective must be a text"),
        ({"owner": "a b"}, "owner"),
    ],
)
def test_choices_that_break_a_rule_start_no_study(store, choices, named):
    with pytest.raises(InputError, match=named):
        opened(store, **choices)
    assert store.studies() == []


def test_a_whole_spec_keeps_the_same_rules(store):
    with pytest.raises(InputError, match="be the name of a quantity"):
        StudySpec(name="asked", space="small", evaluation=External(), objectives=(Objective("-loss"),), budget=3)
    spec = StudySpec(name="asked", space="nowhere", evaluation=External(), budget=3)
    with pytest.raises(InputError, match="space"):
        Study.open(store.url, spec)
    assert store.studies() == []


def test_the_former_spelling_of_the_settings_is_read_for_one_more_version(store):
    given = {"initial": 4, "objectives": ["mean", "minimise:parameters"], "batch": 7}
    with opened(store, policy="boshnas", **given) as study:
        spec = StudySpec.of(study.record)
    assert (spec.policy_settings, spec.costs, spec.batch) == ({"initial": 4}, ("parameters",), 7)
    with pytest.warns(DeprecationWarning, match="settings of Study.open") as told:
        Study.open(store.url, "asked", space="small", policy="boshnas", budget=6, settings=given).close()
    assert told[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="settings"), pytest.raises(InputError, match="among initial, "):
        opened(store, "new", settings={"intial": 3})
    assert [one.name for one in store.studies()] == ["asked"]


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "2"])
def test_whole_numbers_of_trials_are_asked_for(store, count):
    with opened(store) as study, pytest.raises(InputError, match="count must be a whole number"):
        study.ask(count)


def test_the_policys_own_settings_reach_it(store):
    given = {"alpha": 1.0, "beta": 0.0, "embedding": False}
    with opened(store, policy="boshnas", policy_settings=given) as study:
        for one in study.ask(3):
            study.tell(one.number, cheap_value(one.architecture))
        assert [one.origin for one in study.ask(2)] == ["uncertainty"] * 2


def run_the_example(store, **changes):
    """Run the documentation's example on this store, with some of its texts replaced."""
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    for old, new in {"sqlite:///explorer.db": store.url, 'space="nano"': 'space="small"', **changes}.items():
        assert old in example
        example = example.replace(old, new)
    exec(compile(example, str(DOCUMENT), "exec"), {})


def test_the_example_of_the_documentation_runs(store, capsys):
    run_the_example(store)
    trials = store.trials("elsewhere")
    assert [trial.state for trial in trials] == [TrialStatus.COMPLETE] * 6
    assert capsys.readouterr().out.startswith("best: ")


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ("float('nan')", "its value is nan"),
        ("(_ for _ in ()).throw(RuntimeError('out of memory'))", "RuntimeError: out of memory"),
        ("str(sum(model_dict['h']))", "Give a number"),
    ],
)
def test_the_example_goes_on_after_failures_of_any_kind(store, training, reason):
    own = '-float(sum(model_dict["h"]))'
    run_the_example(store, **{f"return {own}": f"return {training} if sum(model_dict['h']) > 192 else {own}"})
    trials = store.trials("elsewhere")
    assert len(trials) == 6
    failed = [trial for trial in trials if trial.state is TrialStatus.FAILED]
    assert 0 < len(failed) < 6
    assert all(reason in trial.reason for trial in failed)
    assert all(trial.state is TrialStatus.COMPLETE for trial in trials if trial not in failed)
    assert store.study("elsewhere").state is StudyState.DONE


def test_a_job_that_is_asked_to_stop_from_afar_hears_of_it(store):
    from explorer.progress import SilentReporter
    from explorer.studies.jobs import running_job

    record = new_job(store, "search", {"studies": ["s"]})
    with open_store(store.url) as afar, running_job(store, record, SilentReporter()) as reporter:
        afar.update_job(record.id, state=JobState.STOPPING)
        deadline = time.monotonic() + 60
        while not reporter.stopping:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert dataclasses.asdict(store.jobs()[0])["state"] is JobState.DONE


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        ({"objectives": "mean"}, "objectives must be a list of texts, but got 'mean'. Write for example"),
        ({"objectives": [3]}, "objectives must be a list of texts"),
        ({"constraints": "parameters<=1K"}, "constraints must be a list of texts"),
        ({"constraints": [5]}, "constraints must be a list of texts"),
        ({"policy_settings": ["method"]}, "policy_settings must be a mapping"),
        ({"owner": 5}, "owner must be 1 to 200 letters"),
    ],
)
def test_choices_of_another_type_are_refused_by_name(store, choices, named):
    with pytest.raises(InputError, match=named):
        opened(store, **choices)
    with pytest.raises(InputError, match="store_url must be a text"):
        Study.open(None, "asked", space="small")
    assert store.studies() == []


def test_numbers_of_numpy_count_and_texts_are_refused(store):
    with opened(store) as study:
        (first, second) = study.ask(np.int64(2))
        assert study.tell(np.int64(first.number), 0.5).number == first.number
        assert study.tell(second.number, failed="a\0b \ud800 " + "x" * 600).reason.startswith("a?b ? x")
        for wrong in (None, 5, store.trials("asked")[0]):
            with pytest.raises(InputError, match="architecture must be the id of an architecture"):
                study.enqueue(wrong)
        assert study.enqueue(store.architecture_ids("small")[-1]).number == 2
        for wrong in ("50", "x"):
            with pytest.raises(InputError, match="budget must be a whole number from 1"):
                study.extend(wrong)
            with pytest.raises(InputError, match="hours must be a number above 0"):
                study.extend(hours=wrong)
