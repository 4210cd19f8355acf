"""Fixtures that every package's tests share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The contract's suites are written with plain asserts; pytest explains them when they fail. Registered before any test
# imports them.
pytest.register_assert_rewrite("graphstore.testing", "explorer.testing")

# Test machines are small and shared: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A cluster of the tests talks over the loopback only; Ray reads this when it is imported.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")

# Most tests that start a process import torch and transformers there. Where the environment forbids `__pycache__`
# folders, each process would compile 3,000 modules again (20 s instead of 8 s), so keep one cache outside the sources.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the project; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the folder ../shared/data, which is absent here")
    return SHARED_DATA


@pytest.fixture
def archex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command in an empty folder, in this process; gives its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPLORER_STORE", raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        from explorer.cli import main

        monkeypatch.setattr("sys.argv", ["archex", *map(str, arguments)])
        capsys.readouterr()
        code = main._run()
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def local_server() -> None:
    """Skips, saying why, where this machine cannot start a Neo4j server; in CI that is a failure."""
    from graphstore.errors import StoreError
    from graphstore.neo4j.distribution import fetched_distribution, named_distribution

    try:
        if os.environ.get("NEO4J_HOME"):
            named_distribution()
        else:
            fetched_distribution(fetch=False)
    except StoreError as error:
        reason = f"needs a Neo4j server: set NEO4J_URI, or NEO4J_HOME, or install Java and Maven ({error})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def neo4j_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server whose contents may be deleted: the empty one NEO4J_URI names, or one started here."""
    if os.environ.get("NEO4J_URI"):
        url = os.environ["NEO4J_URI"]
        with _driver(url) as driver:
            held = driver.execute_query("MATCH (n) RETURN count(n) AS nodes").records[0]["nodes"]
        if held:
            pytest.fail(
                f"NEO4J_URI names a database with {held} nodes, and the tests would delete them: name an empty one"
            )
        yield url
        return
    request.getfixturevalue("local_server")
    from graphstore.neo4j.server import LocalNeo4j

    server = LocalNeo4j(tmp_path_factory.mktemp("neo4j"), authenticate=False, heap="512m")
    server.start()
    yield server.url
    server.stop(keep=False)


def _driver(url: str):
    import neo4j

    user, password = os.environ.get("NEO4J_USER", ""), os.environ.get("NEO4J_PASSWORD", "")
    auth = (user or "neo4j", password) if password else None
    return neo4j.GraphDatabase.driver(url, auth=auth, notifications_min_severity="OFF")


@pytest.fixture
def server(neo4j_url: str):
    """A driver of the emptied server; what a test leaves there is deleted too."""
    with _driver(neo4j_url) as driver, driver.session() as session:
        _erase(session)
        yield driver
        _erase(session)


def _erase(session) -> None:
    session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 2000 ROWS").consume()


@pytest.fixture(scope="session")
def library_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real library that several packages' tests share."""
    import numpy as np

    from explorer.library.build import build_library
    from explorer.progress import SilentReporter
    from explorer.space.grammar import load_space
    from graphstore import open_store
    from graphstore.records import ScoreRecord

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
def store(library_file: Path, tmp_path: Path):
    """A store of its own for each test, with 60 architectures in space ``small`` and a score ``known`` for each."""
    from graphstore import open_store

    path = tmp_path / "store.db"
    shutil.copy(library_file, path)
    with open_store(f"sqlite:///{path}") as opened:
        yield opened
