"""The runner does its work on a Neo4j server as it does on the embedded store."""

import dataclasses

import pytest

from explorer.library.spaces import build_space
from explorer.progress import SilentReporter
from explorer.space.grammar import load_space
from explorer.studies.driver import run_known
from explorer.studies.executors.local import LocalExecutor
from explorer.studies.managing import open_study
from explorer.testing.executor_probe import STUDY, run_probes
from explorer.testing.executors import notes
from explorer.testing.searches import known_search
from graphstore import open_store
from graphstore.copying import copy_store
from graphstore.records import ScoreRecord, StudyState, TrialStatus

pytestmark = pytest.mark.neo4j
TINY = dataclasses.replace(load_space("nano"), name="tiny", layers=(2,))


def work(url):
    """Build a library, score it, search it; return all that a user would see of it."""
    with open_store(url) as store:
        build_space(store, TINY, SilentReporter())
        summaries = store.summaries("tiny")
        scores = [
            ScoreRecord(s.id, "known", "accuracy", s.parameters / 1e6, "data", "full", "recipe", 0, "table")
            for s in summaries
        ]
        store.add_scores(scores)
        study = open_study(store, known_search("study", "tiny", "boshnas", 12, batch=4))
        assert run_known(store, study, SilentReporter(), lambda: False).state is StudyState.DONE
        trials = [(t.number, t.architecture, t.state, t.value) for t in store.trials("study")]
        neighbors = [store.neighbors("tiny", s.id, "views") for s in summaries[:10]]
        return summaries, neighbors, trials


def test_both_engines_give_the_same_library_and_the_same_search(neo4j_url, server, tmp_path):
    assert work(neo4j_url) == work(f"sqlite:///{tmp_path / 'same.db'}")


def test_workers_of_a_study_reach_the_server(neo4j_url, server, store, tmp_path, monkeypatch):
    """Two workers evaluate at the same time; the trial of one that crashes is evaluated again."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "notes"
    folder.mkdir()
    with open_store(neo4j_url) as target:
        copy_store(store, target)
        study = run_probes(
            target, LocalExecutor(2), "small", 3, {"folder": str(folder), "together": 2, "crash": {"2": 1}}
        )
        trials = target.trials(STUDY)
        scores = {(score.architecture, score.source, score.value) for score in target.scores(task="probe")}
    assert study.state is StudyState.DONE
    assert [(t.state, t.attempt, t.value) for t in trials] == [
        (TrialStatus.COMPLETE, n, v) for n, v in ((1, 0), (1, 1), (2, 2))
    ]
    assert scores == {(t.architecture, f"trained:{STUDY}/{t.number}", t.value) for t in trials}
    first, second = (notes(folder)[f"{number}-1"]["pid"] for number in (0, 1))
    assert first != second
