"""One app for all tests of this folder that look at pages: each worker starts it once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from explorer.library.importing import import_file, shapes_file
from explorer.progress import SilentReporter
from graphstore import open_store
from graphstore.records import JobRecord, JobState

from ..chromium import Running, browsing, chromium, new_tab, serving


@pytest.fixture(scope="session")
def app(filled, shape_file, tmp_path_factory) -> Iterator[Running]:
    """The app as a process of its own, on a copy of ``filled`` that tests may write to, with shapes and a running job.

    Because a job runs, pages look often whether there is something new.
    """
    folder = tmp_path_factory.mktemp("browser")
    shutil.copy(filled.url.removeprefix("sqlite:///"), folder / "store.db")
    url, now = f"sqlite:///{folder / 'store.db'}", time.time()
    with open_store(url) as store:
        import_file(store, shapes_file(shape_file), SilentReporter())
        job = JobRecord("search-2", "search", JobState.RUNNING, 1, "elsewhere", now, 0.1, "on", "", {}, now)
        store.put_job(job)
    with serving(url, folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    """A real headless Chromium for all tests of a file; skips where there is none, and fails in CI.

    Not for the session, because Playwright's event loop would be in the way of tests that start one.
    """
    chromium()
    with browsing() as opened:
        yield opened


@pytest.fixture
def tab(browser):
    """A tab of its own for each test."""
    with new_tab(browser) as opened:
        yield opened


def scored_architectures(app: Running) -> set[str]:
    """Architectures with a score; tests of this folder add some."""
    with open_store(app.store) as store:
        return {score.architecture for score in store.scores(space="nano")}
