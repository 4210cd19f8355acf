"""What a visitor's hands meet, in a real Chromium: a list left open while the page redraws, and the keys alone."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from graphstore import open_store
from graphstore.records import ScoreRecord

from ..chromium import settle, visit
from .conftest import scored_architectures

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Icons are texts before the words.
FOCUSED = "(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim().split('\\n').pop()"
MOST_STEPS = 60


def test_a_list_stays_open_while_others_work(tab, app):
    """A study and a score that arrive meanwhile change the lists, and leave the open one and its choice."""
    scored = len(scored_architectures(app))
    visit(tab, f"{app.url}/search?space=nano&study=first", "Search", 1)
    tab.get_by_role("combobox", name="Objective").click()
    tab.get_by_role("option", name="Known scores: mean").click()
    tab.get_by_text(f"{scored} architectures of nano have this score").wait_for()
    settle(tab)
    tab.get_by_role("combobox", name="Study").click()
    options = tab.get_by_role("option")
    options.first.wait_for()
    assert sorted(options.all_inner_texts()) == ["first", "second"]
    something_happens(app)
    # Whoever looks sees it by a new drawing of the page.
    tab.get_by_role("option", name="newest").wait_for()
    assert sorted(options.all_inner_texts()) == ["first", "newest", "second"]
    options.filter(has_text="second").click()
    tab.wait_for_url("**study=second*")
    tab.get_by_text(f"{scored + 1} architectures of nano have this score").wait_for()
    assert tab.get_by_role("combobox", name="Objective").input_value() == "Known scores: mean"


def something_happens(app) -> None:
    known = scored_architectures(app)
    with open_store(app.store) as store:
        store.create_study(replace(store.study("first"), name="newest", created=time.time()))
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
    step_to(tab, "Duplicate layer 0")
    buttons = tab.get_by_role("button", name="Duplicate")
    before = buttons.count()
    for more in (1, 2):
        tab.keyboard.press("Enter")
        buttons.nth(before + more - 1).wait_for()
        settle(tab, 1)
        assert buttons.count() == before + more
        assert tab.evaluate(FOCUSED) == "Duplicate layer 0"


def step_to(tab, name: str) -> None:
    """Press the tabulator until something of this name has the focus."""
    seen: list[str] = []
    for _ in range(MOST_STEPS):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate(FOCUSED))
        if seen[-1] == name:
            return
    pytest.fail(f"{MOST_STEPS} steps do not lead to {name}: {seen}")
