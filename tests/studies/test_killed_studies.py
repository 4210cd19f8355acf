"""`kill -9` at random points: the resumed study makes identical proposals, and repeats no finished evaluation."""

import multiprocessing
import random
import sys
import types

import pytest

from explorer.studies.budgets import MAX_ATTEMPTS
from explorer.studies.driver import ENDED
from explorer.studies.spec import External, Known
from explorer.testing.searches import search
from explorer.testing.study_probe import ProbeRun, run_probe
from graphstore import open_store
from graphstore.copying import copy_store
from graphstore.records import StudyState, TrialStatus

KILLS = 12
KILLS_ON_A_SERVER = 8
BUDGET = 20
SPACE = "small"
ASKED, KNOWN = External(), Known()


@pytest.fixture(scope="module")
def processes():
    """Starts processes that have everything imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["explorer.testing.study_probe", "explorer.search.boshnas"])
    return context


@pytest.fixture(autouse=True)
def plain_main(monkeypatch):
    """A page's test before this one leaves its script as the main module, which every new process would run."""
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))


def seen(url, name):
    """All that a study's run leaves, but times, names and claims."""
    with open_store(url) as store:
        assert store.study(name).state is StudyState.DONE
        trials = store.trials(name)
    assert {trial.state for trial in trials} == {TrialStatus.COMPLETE}
    return [(trial.number, trial.architecture, trial.value, dict(trial.info)) for trial in trials]


def execute(processes, run, kill_after=None):
    """Whether the process came to its end."""
    process = processes.Process(target=run_probe, args=(run,))
    process.start()
    process.join(kill_after)
    process.kill()
    process.join()
    return process.exitcode == 0


def one_death_from_failing(url, name):
    """Whether a trial fails if the process that takes it next dies before the trial has ended."""
    with open_store(url) as store:
        if all(study.name != name for study in store.studies()):
            return False
        left = [trial for trial in store.trials(name) if trial.state not in ENDED]
    return any(trial.attempt >= MAX_ATTEMPTS - 1 for trial in left)


def check_kills(processes, url, evaluation, folder, policy, kills=KILLS):
    whole, cut = (
        ProbeRun(
            url,
            search(name, SPACE, policy, "known", BUDGET, evaluation=evaluation, batch=4, initial=8, seed=3),
            folder / f"{name}.log",
        )
        for name in ("whole", "cut")
    )
    assert execute(processes, whole)
    calls = int(whole.log.read_text().split()[-1])
    draw = random.Random(7)
    killed = 0
    for number in range(kills):
        if one_death_from_failing(url, "cut"):  # Those trials end first.
            killed += not execute(
                processes, ProbeRun(url, cut.spec, cut.log, draw.randint(40, 60), draw.random() < 0.5)
            )
        elif number % 4 == 3:  # At any instant, also within a transaction.
            killed += not execute(processes, cut, draw.uniform(0.05, 0.6))
        else:
            kill_at = draw.randint(1, max(20, 3 * calls // kills))
            killed += not execute(processes, ProbeRun(url, cut.spec, cut.log, kill_at, draw.random() < 0.5))
    assert killed >= kills // 2
    assert execute(processes, cut)
    assert seen(url, "cut") == seen(url, "whole")
    ended = set()
    for line in cut.log.read_text().splitlines():
        word, number = line.split()
        assert word != "evaluated" or number not in ended, f"trial {number} was evaluated again"
        ended |= {number} if word == "ended" else set()


@pytest.mark.parametrize(("evaluation", "policy"), [(ASKED, "boshnas"), (KNOWN, "evolution")])
def test_kills_change_nothing(processes, store, tmp_path, evaluation, policy):
    check_kills(processes, store.url, evaluation, tmp_path, policy)


@pytest.mark.neo4j
def test_kills_change_nothing_on_neo4j(processes, neo4j_url, server, store, tmp_path):
    with open_store(neo4j_url) as target:
        copy_store(store, target)
    check_kills(processes, neo4j_url, ASKED, tmp_path, "evolution", KILLS_ON_A_SERVER)
