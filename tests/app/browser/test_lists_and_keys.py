"""What a visitor's hands meet, in a real Chromium: a list left open while the page redraws, and the keys alone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.records import JobRecord, JobState, ScoreRecord

from ..chromium import Running, new_tab, serving, settle, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Icons are texts before the words.
FOCUSED = "(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim().split('\\n').pop()"
MOST_STEPS = 60


@pytest.fixture(scope="module")
def app(filled, tmp_path_factory) -> Iterator[Running]:
    """The app on a store of its own in which a job runs, so that pages look often whether there is something new."""
    folder: Path = tmp_path_factory.mktemp("hands")
    shutil.copy(filled.url.removeprefix("sqlite:///"), folder / "copy.db")
    url, now = f"sqlite:///{folder / 'copy.db'}", time.time()
    with open_store(url) as store:
        job = JobRecord("search-2", "search", JobState.RUNNING, 1, "elsewhere", now, 0.1, "on", "", {}, now)
        store.put_job(job)
    with serving(url, folder) as running:
        yield running


@pytest.fixture
def tab(browser):
    with new_tab(browser) as opened:
        yield opened


def test_a_list_stays_open_while_others_work(tab, app):
    """A study and a score that arrive meanwhile change the lists, and leave the open one and its choice."""
    visit(tab, f"{app.url}/search?space=nano&study=first", "Search", 1)
    tab.get_by_role("combobox", name="Objective").click()
    tab.get_by_role("option", name="Known scores: mean").click()
    tab.get_by_text("20 architectures of nano have this score").wait_for()
    settle(tab)
    tab.get_by_role("combobox", name="Study").click()
    options = tab.get_by_role("option")
    options.first.wait_for()
    assert sorted(options.all_inner_texts()) == ["first", "second"]
    something_happens(app.store)
    # Whoever looks sees it by a new drawing of the page.
    tab.get_by_role("option", name="newest").wait_for()
    assert sorted(options.all_inner_texts()) == ["first", "newest", "second"]
    options.filter(has_text="second").click()
    tab.wait_for_url("**study=second*")
    tab.get_by_text("21 architectures of nano have this score").wait_for()
    assert tab.get_by_role("combobox", name="Objective").input_value() == "Known scores: mean"


def something_happens(url: str) -> None:
    with open_store(url) as store:
        store.create_study(replace(store.study("first"), name="newest", created=time.time()))
        known = {score.architecture for score in store.scores(space="nano")}
        new = next(summary.id for summary in store.summaries("nano") if summary.id not in known)
        store.add_scores([ScoreRecord(new, "mean", "accuracy", 0.9, "text", "steps 100", "r", 0, "trained:late/0")])


def test_a_question_is_asked_by_keys_alone(tab, app):
    """From the top of the page to another one, through its form, and to the answer."""
    visit(tab, f"{app.url}/jobs", "Jobs and store")
    step_to(tab, "Query")
    tab.keyboard.press("Enter")
    tab.get_by_text("60 architectures fit").wait_for()
    settle(tab)
    # The first list of a visit brings its program with it.
    tab.get_by_role("combobox", name="Operation").first.wait_for()
    step_to(tab, "Operation")
    tab.keyboard.press("ArrowDown")
    tab.get_by_role("option").first.wait_for()
    tab.keyboard.type("sa")
    tab.keyboard.press("Enter")
    step_to(tab, "Find")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**layer1=first*sa*")


def test_a_button_keeps_the_focus(tab, app):
    """Whoever edits layers by keys goes on where they were."""
    visit(tab, f"{app.url}/build?space=nano", "Build", 1)
    step_to(tab, "Have layer 0 twice")
    buttons = tab.get_by_role("button", name="twice")
    before = buttons.count()
    for more in (1, 2):
        tab.keyboard.press("Enter")
        buttons.nth(before + more - 1).wait_for()
        settle(tab, 1)
        assert buttons.count() == before + more
        assert tab.evaluate(FOCUSED) == "Have layer 0 twice"


def step_to(tab, name: str) -> None:
    """Press the tabulator until something of this name has the focus."""
    seen: list[str] = []
    for _ in range(MOST_STEPS):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate(FOCUSED))
        if seen[-1] == name:
            return
    pytest.fail(f"{MOST_STEPS} steps do not lead to {name}: {seen}")
