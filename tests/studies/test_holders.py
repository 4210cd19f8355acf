"""Who holds an asked trial, until when, and what becomes of it when its holder has ended."""

import socket
import subprocess
import sys
import time

import psutil
import pytest

from explorer.errors import InputError
from explorer.studies.driver import owner_name, process_owner
from explorer.study import Study
from graphstore.errors import LeaseLostError
from graphstore.records import TrialStatus


def opened(store, name="asked", **choices):
    given = {"space": "small", "policy": "evolution", "budget": 6, "initial": 3, **choices}
    return Study.open(store.url, name, **given)


def ended_by(store, error, asked, **choices):
    """Ask for two trials in a block that then raises an error."""
    with opened(store, **choices) as study:
        asked += study.ask(2)
        raise error


def test_a_block_that_ends_by_an_error_gives_its_trials_out_again_three_times(store):
    for attempt in (1, 2, 3):
        asked = []
        with pytest.raises(TypeError, match="wrong"):
            ended_by(store, TypeError("the loop is wrong"), asked)
        assert [(one.number, one.attempt) for one in asked] == [(0, attempt), (1, attempt)]
    assert [trial.state for trial in store.trials("asked")] == [TrialStatus.FAILED] * 2
    with opened(store) as study:
        assert [one.number for one in study.ask()] == [2]


def test_a_block_that_is_stopped_gives_its_trials_back_any_number_of_times(store):
    for _ in range(5):
        asked = []
        with pytest.raises(KeyboardInterrupt):
            ended_by(store, KeyboardInterrupt(), asked)
        assert [one.attempt for one in asked] == [1, 1]
    with pytest.raises(TypeError):
        ended_by(store, TypeError(), [], owner="mine")  # Another process may tell this owner's.
    assert [(trial.state, trial.owner) for trial in store.trials("asked")] == [(TrialStatus.RUNNING, "mine")] * 2


def owned_by(store, owner, started=None):
    """Claim the next trial for an owner, at a time."""
    return store.claim_trial("asked", owner, 3600.0, time.time() if started is None else started)


def test_a_trial_whose_holder_always_dies_fails_and_the_study_goes_on(store):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with opened(store) as study:
        study.give_back(study.ask()[0].number)
        for attempt in (1, 2, 3):
            assert owned_by(store, process_owner(process.pid)).number == 0
            (asked,) = study.ask()
            if attempt < 3:
                assert (asked.number, asked.attempt) == (0, attempt + 1)
                study.give_back(0)
            else:
                assert asked.number == 1
    first = store.trials("asked")[0]
    assert (first.state, first.attempt) == (TrialStatus.FAILED, 3)
    assert "died" in first.reason


def test_a_holder_of_the_same_number_is_the_same_process_only_if_it_is_as_old(store):
    begun = psutil.Process().create_time()
    with opened(store, owner="another") as study:
        study.give_back(study.ask()[0].number)
        owned_by(store, owner_name())
        assert [one.number for one in study.ask()] == [1]
        study.give_back(1)
        owned_by(store, owner_name(), begun - 3600.0)  # As in a container, whose first process is always number 1.
        assert [(one.number, one.attempt) for one in study.ask()] == [(1, 2)]
        study.give_back(1)
        owned_by(store, f"{socket.gethostname()}:somebody")
        assert [one.number for one in study.ask()] == [2]


def test_processes_share_a_study_and_none_gets_what_another_has(store):
    with opened(store, owner="one") as one, opened(store, owner="two") as two:
        asked = [one.ask(2), two.ask(3), one.ask(3)]
        numbers = [trial.number for trials in asked for trial in trials]
        assert sorted(numbers) == list(range(6))
        assert two.ask() == []
        with pytest.raises(InputError, match="one's"):
            two.tell(0, 0.5)
        with opened(store, owner="one") as later:  # Another process of the same owner.
            later.tell(0, 0.5)
        with pytest.raises(LeaseLostError):
            one.tell(0, 0.6)
        one.give_back(1)
        assert [trial.number for trial in two.ask(4)] == [1]


def test_two_that_ask_at_once_stay_within_the_budget(store):
    with opened(store, budget=2, owner="one") as one, opened(store, budget=2, owner="two") as two:
        free = [summary.id for summary in store.summaries("small")][:4]
        store.add_trials("asked", [(id, {}) for id in free])  # As if both had added what the other did not know of.
        assert len(one.ask(4)) + len(two.ask(4)) == 2
        one.tell(0, 1.0)
        one.tell(1, 1.0)
        assert one.finished
        one.extend(budget=3)
        assert [trial.architecture for trial in two.ask(4)] == [free[2]]


def test_a_lease_that_ended_is_given_to_the_next(store):
    with opened(store, owner="slow", lease_s=0.2) as slow, opened(store, owner="next", budget=6) as following:
        (trial,) = slow.ask()
        slow.renew(trial.number)
        time.sleep(0.3)
        (again,) = following.ask()
        assert (again.number, again.attempt) == (trial.number, 2)
        with pytest.raises(LeaseLostError):
            slow.tell(trial.number, 0.5)
