"""Fixtures that every package's tests share."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

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
# A server of the tests lives for minutes at most: without Java's second compiler it starts with half the work.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m")

# Most tests that start a process import torch and transformers there. Where the environment forbids `__pycache__`
# folders, each process would compile 3,000 modules again (20 s instead of 8 s), so keep one cache outside the sources.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

QUICK_FOLDERS = ("analysis", "plots", "search", "similarity", "space", "surrogate")
"""``-m quick`` runs what is not slow in these, and does not even import the tests of the others."""
NOT_QUICK = {
    *("test_multi_objective.py", "test_rivals.py", "test_boshnas_beats_random.py", "test_sparse_process.py"),
    *("test_sampling.py", "test_grakel_kernels.py", "test_kernel_benchmark.py", "test_embedding_benchmark.py"),
    "test_importance.py",
}
"""Files of these folders that take long, with half of their time: many fits, large samples, foreign kernels."""
SHARED_SERVER = "shared-server"
"""The group of all tests of the one shared Neo4j server: Community Edition has a single database."""
SHARED_APP = "shared-app"
"""The group of all tests that look at one running app."""
LONGEST = (
    "test_project.py",
    "studies/test_trained_studies.py",
    "app/browser/test_journeys.py",
    "studies/test_executors.py",
    SHARED_APP,
    "cli/test_managed_server.py",
    "training/test_distributed.py",
    "models/test_onnx.py",
    "graphstore/test_tls.py",
    "cli/test_commands.py",
    "measure/test_latency_and_memory.py",
    "measure/test_size_of_spaces.py",
    "studies/test_jobs.py",
    "test_policies_benchmark.py",
    "library/test_damaged_files.py",
    "training/test_pretraining.py",
    "studies/test_killed_studies.py",
    "app/test_large_store.py",
    "app/browser/test_lists_and_keys.py",
    "models/test_auto_classes.py",
    "studies/test_failing_trials.py",
    "cli/test_task_files.py",
)
"""The groups that take longest, longest first: they start first, so that no worker is idle while the last one works."""


SERVER_FILES = (
    *("test_console.py", "test_saved_queries.py", "test_copying.py", "test_migrations.py", "test_old_stores.py"),
    *("test_queries_equal.py", "test_store_check.py", "test_cypher_command.py"),
)
"""Files whose tests of the shared server do not have ``neo4j`` in their names."""
OWN_SERVERS = ("test_managed_server.py", "test_tls.py")
"""Files that start servers of their own."""
APP_FILES = (
    "browser/test_browser.py",
    "browser/test_lists_and_keys.py",
    "browser/test_content_security.py",
    "browser/test_log_in.py",
)
"""Files whose tests look at running apps, all but one at the same one."""


def group_of(nodeid: str) -> str:
    """Return the group of tests that run one after the other in the same worker.

    Such a group is a file, or all tests of a shared server or app.

    It reads names because xdist's own groups (``xdist_group``) have no effect with pytest 9.2.
    """
    file, _, name = nodeid.partition("::")
    if file.endswith(OWN_SERVERS):
        return file
    if "app/browser/" in file and not file.endswith("test_journeys.py"):
        return SHARED_APP
    return SHARED_SERVER if file.endswith(SERVER_FILES) or "neo4j" in f"{Path(file).name}::{name}".lower() else file


class LongestFirst(LoadScopeScheduling):
    """Hands out groups in the order of collection, and the next one only when a worker starts its last test."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _reschedule(self, node) -> None:
        if self.workqueue and self._pending_of(self.assigned_work[node]) > 1:
            return
        super()._reschedule(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Schedule by file, longest first; ``--dist`` with another value than the project's keeps its meaning."""
    return LongestFirst(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are processors, because many tests wait for a server, a browser or a clock."""
    return len(os.sched_getaffinity(0)) + 1


def is_quick(path: Path) -> bool:
    """Return whether a test file, or a folder of them, belongs to the quick selection."""
    parts = path.relative_to(Path(__file__).parent).parts
    return not parts or (parts[0] in QUICK_FOLDERS and path.name not in NOT_QUICK)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import only the tests that ``-m quick`` can select."""
    return True if config.option.markexpr == "quick" and not is_quick(collection_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests and those of the shared server, and put the longest files first."""
    for item in items:
        if is_quick(item.path) and not any(map(item.get_closest_marker, ("slow", "neo4j", "browser"))):
            item.add_marker("quick")
        is_shared = item.get_closest_marker("neo4j") and not item.path.name.endswith(OWN_SERVERS)
        if is_shared and group_of(item.nodeid) != SHARED_SERVER:
            raise pytest.UsageError(
                f"{item.nodeid} uses the shared server: put neo4j into its name, or see SERVER_FILES"
            )
    places = {group if group == SHARED_APP else f"tests/{group}": place for place, group in enumerate(LONGEST)}

    def place(item: pytest.Item) -> int:
        group = group_of(item.nodeid)
        return -1 if group == SHARED_SERVER else places.get(group, len(places))

    items.sort(key=place)


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


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a module of ``benchmarks/`` with options, in this process; gives the figures of its last line."""
    handler = signal.getsignal(signal.SIGTERM)  # a benchmark may set its own

    def run(name: str, *options: object) -> dict[str, float]:
        monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, options)])
        # Streamlit's tests leave a page's script as the main module, which processes that a benchmark starts would run.
        monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
        importlib.import_module(name).main()
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    yield run
    signal.signal(signal.SIGTERM, handler)


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
        with _driver(url) as driver:
            _erase(driver)
        return
    request.getfixturevalue("local_server")
    from graphstore.neo4j.server import LocalNeo4j

    server = LocalNeo4j(tmp_path_factory.mktemp("neo4j"), authenticate=False, heap="512m")
    # Every test fills an empty graph: without this, every query would be planned again every ten seconds.
    server.start(settings="dbms.cypher.min_replan_interval=1h\n")
    yield server.url
    server.stop(keep=False)


def _driver(url: str):
    import neo4j

    user, password = os.environ.get("NEO4J_USER", ""), os.environ.get("NEO4J_PASSWORD", "")
    auth = (user or "neo4j", password) if password else None
    return neo4j.GraphDatabase.driver(url, auth=auth, notifications_min_severity="OFF")


@pytest.fixture
def server(neo4j_url: str):
    """A driver of the emptied server; the next test, or the end of the run, deletes what a test leaves there."""
    with _driver(neo4j_url) as driver:
        _erase(driver)
        yield driver


def _erase(driver) -> None:
    with driver.session() as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 2000 ROWS").consume()


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """``built_once(name, build)``: a folder that ``build(folder)`` fills once in a run, for all workers.

    Tests only read it, or copy it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder_of(name: str, build: Callable[[Path], object]) -> Path:
        folder, done = shared / f"built-{name}", shared / f"built-{name}.done"
        with FileLock(shared / f"built-{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # left by a worker that failed
                folder.mkdir()
                build(folder)
                done.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def quick_data(built_once) -> Path:
    """Prepared data: the default text, and the tasks made from it, for the recipe ``quick``."""
    from explorer.studies.spec import Trained
    from explorer.studies.trained import TrainingChoices

    return built_once("quick-data", TrainingChoices.of(Trained(recipe="quick")).prepare)


@pytest.fixture(scope="session")
def library_file(built_once) -> Path:
    """A small real library that several packages' tests share."""
    return built_once("small-library", _build_small_library) / "small.db"


def _build_small_library(folder: Path) -> None:
    import numpy as np

    from explorer.library.library import Library
    from explorer.progress import SilentReporter
    from explorer.space.grammar import load_space
    from graphstore import open_store
    from graphstore.records import ScoreRecord

    specs = load_space("nano").sample(60, np.random.default_rng(0))
    with open_store(f"sqlite:///{folder / 'small.db'}") as store:
        Library.build(store, "small", specs, SilentReporter(), source="sampled")
        rng = np.random.default_rng(1)
        scores = [
            ScoreRecord(s.id, "known", "accuracy", float(rng.random()), "data", "full", "recipe", 0, f"table:{i}")
            for i, s in enumerate(store.summaries("small"))
        ]
        store.add_scores(scores)


@pytest.fixture
def store(library_file: Path, tmp_path: Path):
    """A store of its own for each test, with 60 architectures in space ``small`` and a score ``known`` for each."""
    from graphstore import open_store

    path = tmp_path / "store.db"
    shutil.copy(library_file, path)
    with open_store(f"sqlite:///{path}") as opened:
        yield opened
