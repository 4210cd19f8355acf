"""The runner does its work on a Neo4j server as it does on the embedded store."""

import dataclasses

import pytest

from explorer.library.spaces import build_space
from explorer.progress import SilentReporter
from explorer.space.grammar import load_space
from explorer.studies.driver import run_known
from explorer.studies.managing import open_study
from explorer.testing.searches import known_search
from graphstore import open_store
from graphstore.records import ScoreRecord, StudyState

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
