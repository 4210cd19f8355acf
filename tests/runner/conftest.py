"""A small real library that the runner's tests share."""

import shutil

import numpy as np
import pytest

from explorer.runner.library import build_library
from explorer.runner.progress import SilentReporter
from explorer.space.grammar import load_space
from graphstore import open_store
from graphstore.records import ScoreRecord


@pytest.fixture(scope="session")
def library_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "small.db"
    specs = load_space("nano").sample(60, np.random.default_rng(0))
    with open_store(f"sqlite:///{path}") as store:
        build_library(store, "small", specs, SilentReporter(), source="sampled")
        rng = np.random.default_rng(1)
        scores = [
            ScoreRecord(s.id, "known", "accuracy", float(rng.random()), "data", "full", "recipe", 0, f"table:{i}")
            for i, s in enumerate(store.summaries("small"))
        ]
        store.add_scores(scores)
    return path


@pytest.fixture
def store(library_file, tmp_path):
    """A store of its own for each test, with 60 architectures in space ``small`` and a score ``known`` for each."""
    path = tmp_path / "store.db"
    shutil.copy(library_file, path)
    with open_store(f"sqlite:///{path}") as opened:
        yield opened
