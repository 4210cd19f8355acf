"""A policy computes with one thread of torch, also in a process that has not imported torch before."""

import json
import os
import subprocess
import sys

from explorer.search import POLICIES, policy_class

CODE = """
import json, sys
from explorer.studies.driver import StudyDriver, may_choose
from explorer.studies.managing import open_study
from explorer.testing.searches import search
from graphstore import open_store
from graphstore.records import TrialStatus


def threads():
    return sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None


def watched(policy):
    choose, seen = policy._propose, []

    def propose(count, untried):
        proposals = choose(count, untried)
        seen.append(threads())
        return proposals

    policy._propose = propose
    return seen


def asked_twice(store, name):
    spec = search(name, "small", name, budget=8, initial=4)
    driver = StudyDriver(store, open_study(store, spec), may_choose(store, spec))
    seen = watched(driver.policy)
    for _ in range(2):
        for trial in driver.propose(4):
            claimed = store.claim_trial(name, "here:1", 60.0, 1.0)
            store.finish_trial(claimed, TrialStatus.COMPLETE, 2.0, value=0.1 * trial.number)
    return seen


with open_store(sys.argv[1]) as store:
    print(json.dumps([threads(), *(asked_twice(store, name) for name in sys.argv[2:]), threads()]))
"""
WITHOUT = [name for name in POLICIES if not policy_class(name).uses_torch]


def test_the_first_fit_of_a_process_has_one_thread(store):
    """The policies without torch do not import it; the next one does, with a thread for each processor."""
    command = [sys.executable, "-c", CODE, store.url, *WITHOUT, "boshnas"]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    usual = min(2, len(os.sched_getaffinity(0)))
    assert json.loads(done.stdout) == [None, *([None, None] for _ in WITHOUT), [1, 1], usual]
