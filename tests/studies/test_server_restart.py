"""A Neo4j server is killed and started again in the middle of a study, which goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from explorer.library.spaces import build_space
from explorer.progress import SilentReporter
from explorer.space.grammar import load_space
from explorer.studies.driver import run_known
from explorer.studies.managing import open_study
from explorer.testing.searches import known_search
from graphstore import GraphStore, open_store
from graphstore.neo4j.server import LocalNeo4j
from graphstore.records import ScoreRecord, StudyState, TrialStatus
from graphstore.testing.proxy import Proxy

pytestmark = [pytest.mark.neo4j, pytest.mark.slow]
TINY = dataclasses.replace(load_space("nano"), name="tiny", layers=(2,))
BUDGET = 30
PLAN = known_search("study", "tiny", "evolution", BUDGET, batch=2)

STUDY = """
import sys, time
from explorer.progress import SilentReporter
from explorer.studies.driver import run_known
from graphstore import open_store

def slowly():
    time.sleep(0.1)  # an objective that takes its time
    return False

with open_store(sys.argv[1], create=False) as store:
    run_known(store, store.study("study"), SilentReporter(), slowly)
"""


@pytest.fixture
def own_server(local_server: None, tmp_path: Path) -> Iterator[LocalNeo4j]:
    """A server that may be killed, so not the one that other tests share."""
    with LocalNeo4j(tmp_path / "neo4j", authenticate=False, heap="512m") as server:
        yield server


def port_of(server: LocalNeo4j) -> int:
    return urlsplit(server.url).port or 0


def kill(server: LocalNeo4j) -> None:
    """End the server's process at once, without a chance to say good-bye to anybody."""
    mine = [
        process
        for process in psutil.Process().children(recursive=True)
        if any(str(server.home) in word for word in process.cmdline()) and "java" in process.name()
    ]
    assert len(mine) == 1
    mine[0].kill()
    server.stop()


def prepare(store: GraphStore) -> None:
    build_space(store, TINY, SilentReporter())
    scores = [
        ScoreRecord(s.id, "known", "accuracy", s.parameters / 1e6, "data", "full", "recipe", 0, "table")
        for s in store.summaries("tiny")
    ]
    store.add_scores(scores)
    open_study(store, PLAN)


def complete(store: GraphStore) -> int:
    return sum(trial.state is TrialStatus.COMPLETE for trial in store.trials("study"))


def test_a_study_goes_on_when_its_server_comes_back(own_server: LocalNeo4j, tmp_path: Path):
    with open_store(f"sqlite:///{tmp_path / 'whole.db'}") as whole:
        prepare(whole)
        run_known(whole, whole.study("study"), SilentReporter(), lambda: False)
        expected = [(trial.architecture, trial.value) for trial in whole.trials("study")]
    with Proxy(port_of(own_server)) as proxy:
        url = f"bolt://127.0.0.1:{proxy.port}"
        with open_store(url) as store:
            prepare(store)
        study = subprocess.Popen([sys.executable, "-c", STUDY, url], stderr=subprocess.PIPE, text=True)
        try:
            with open_store(own_server.url) as store:
                while complete(store) < BUDGET // 3:
                    assert study.poll() is None, study.communicate()[1]
                    time.sleep(0.01)
                before = store.trials("study")
            kill(own_server)
            own_server.start()
            proxy.point(port_of(own_server))
            errors = study.communicate(timeout=180)[1]
        finally:
            study.kill()
            study.wait()
        assert study.returncode == 0, errors
        assert complete_ones(before)
        with open_store(url) as store:
            trials = store.trials("study")
            assert store.study("study").state is StudyState.DONE
        assert [(trial.architecture, trial.value) for trial in trials] == expected
        assert {(t.state, t.attempt, t.token) for t in trials} == {(TrialStatus.COMPLETE, 1, 1)}
        assert [trials[trial.number] for trial in complete_ones(before)] == complete_ones(before)


def complete_ones(trials):
    return [trial for trial in trials if trial.state is TrialStatus.COMPLETE]
