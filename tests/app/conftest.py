"""A small but real store for the pages: sampled architectures with graphs, vectors, neighbours, scores, studies."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from explorer.library.library import Library
from explorer.library.workplace import STORE_VARIABLE
from explorer.progress import SilentReporter
from explorer.space.grammar import load_space
from explorer.studies.spec import Known
from explorer.supershaper.shapes.grid import ShapeGrid
from explorer.testing.searches import search
from graphstore import open_store
from graphstore.records import JobRecord, JobState, ScoreRecord, SpaceRecord, StudyRecord, TrialStatus

# Every AppTest reads the metadata of all installed distributions, for a second; they stay the same during a run.
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)

SPACE = "nano"
TASKS = ("mean", "package", "order")


@dataclass(frozen=True)
class Filled:
    """The store of the page tests."""

    url: str
    ids: tuple[str, ...]
    best: str
    values: dict[str, float] = field(default_factory=dict)


def fill_library(url: str, count: int = 60) -> tuple[str, ...]:
    specs = load_space(SPACE).sample(count, np.random.default_rng(5))
    with open_store(url) as store:
        Library.build(store, SPACE, specs, SilentReporter(), source={"test": True}, title="Sampled nano")
        return tuple(summary.id for summary in store.summaries(SPACE))


def score(id: str, task: str, value: float, source: str = "trained:first/0", recipe: str = "r") -> ScoreRecord:
    return ScoreRecord(id, task, "accuracy", value, "text", "steps 100", recipe, 0, source, 3.0)


def study(name: str, policy: str, budget: int) -> StudyRecord:
    return search(name, SPACE, policy, budget=budget, evaluation=Known()).record()


@pytest.fixture(scope="session")
def filled(built_once) -> Filled:
    """Read by many tests, so none may write to it."""
    url = f"sqlite:///{built_once('filled-store', fill) / 'filled.db'}"
    with open_store(url) as store:
        ids = tuple(summary.id for summary in store.summaries(SPACE))
    values = scores_of(ids)
    return Filled(url, ids, max(values, key=lambda id: values[id]), values)


def scores_of(ids: tuple[str, ...]) -> dict[str, float]:
    return {id: 0.5 + 0.01 * position for position, id in enumerate(ids[:20])}


def fill(folder: Path) -> None:
    """Build the store of ``filled``."""
    url = f"sqlite:///{folder / 'filled.db'}"
    ids = fill_library(url)
    values = scores_of(ids)
    with open_store(url) as store:
        store.add_scores([score(id, task, value) for id, value in values.items() for task in TASKS])
        for name, policy in (("first", "boshnas"), ("second", "random")):
            store.create_study(study(name, policy, 4))
            info = {"origin": "optimise", "acquisition": {"ucb": 0.75}}
            store.add_trials(name, [(id, info) for id in ids[:4]])
            for _ in range(3):
                trial = store.claim_trial(name, "me", 60.0, time.time())
                assert trial is not None
                value = values[trial.architecture]
                store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=value)
            trial = store.claim_trial(name, "me", 60.0, time.time())
            assert trial is not None
            store.finish_trial(trial, TrialStatus.FAILED, time.time(), reason="out of memory")
        info = {"studies": ["first"], "arguments": ["search", "--study", "first"]}
        now = time.time()
        store.put_job(JobRecord("search-1", "search", JobState.STOPPED, 0, "", now, 0.5, "stopped", "", info, now))


@pytest.fixture(scope="session")
def shape_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty random shapes with a made perplexity and two machines."""
    grid, rng = ShapeGrid(), np.random.default_rng(0)
    shapes = grid.random(40, rng)
    sizes = grid.parameters(shapes)
    perplexity = np.exp(2.0 - 0.2 * (sizes / 7e7 - 1.0) - 0.05 * shapes[:, 11] / 768)
    rows = [
        ",".join(map(str, (*shape, value, size / 1e9, "" if place < 3 else size / 2e9)))
        for place, (shape, value, size) in enumerate(zip(shapes.tolist(), perplexity, sizes, strict=True))
    ]
    path = tmp_path_factory.mktemp("shapes") / "shapes.csv"
    header = ",".join(f"h{layer}" for layer in range(1, 13)) + ",perplexity,fast_s,slow_box_s\n"
    path.write_text(header + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="session")
def library_file(built_once) -> Path:
    """A store with a library of twelve and nothing else."""
    return built_once("twelve", lambda folder: fill_library(f"sqlite:///{folder / 'library.db'}", 12)) / "library.db"


@pytest.fixture
def own_store(library_file: Path, tmp_path: Path) -> str:
    """Its copy, for a test that writes."""
    shutil.copy(library_file, tmp_path / "own.db")
    return f"sqlite:///{tmp_path / 'own.db'}"


@pytest.fixture
def unfinished_store(tmp_path: Path) -> str:
    """A store whose only space is being built."""
    url = f"sqlite:///{tmp_path / 'unfinished.db'}"
    with open_store(url) as store:
        store.put_space(SpaceRecord(SPACE, {"title": "Nano", "ready": False}))
    return url


def show_page(name: str) -> None:
    """The script of one page, for ``AppTest``, which runs its text alone."""
    from importlib import import_module

    import_module(f"explorer.app.{name}.page").render()


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens a page on the store of a URL, with these names in the address, and runs it."""

    def go(name: str, url: str, /, timeout: float = 60, **stated: str | list[str]) -> AppTest:
        monkeypatch.setenv(STORE_VARIABLE, url)
        page = AppTest.from_function(show_page, args=(name,), default_timeout=timeout)
        for key, value in stated.items():
            page.query_params[key] = value
        return page.run()

    return go


@pytest.fixture(autouse=True)
def _forget_caches() -> Iterator[None]:
    """Let every test begin without cached stores, and close those it opened."""
    yield
    st.cache_data.clear()
    st.cache_resource.clear()
