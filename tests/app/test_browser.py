"""The app in a real headless Chromium: pages, a click on the map, a search that is launched and watched."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest

from explorer.app.navigation import PAGES
from explorer.app.services import STORE_VARIABLE
from graphstore import open_store
from graphstore.records import ScoreRecord

PROJECT = Path(__file__).resolve().parents[2]
SCREENSHOTS = PROJECT / "artifacts" / "screenshots"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WAIT_MS = 60_000

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass(frozen=True)
class Running:
    """Addresses of the running app and of its store."""

    url: str
    store: str


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("CI is set, so a Chromium must be installed, but none is on the PATH. Install chromium.")
    pytest.skip("needs chromium, chromium-browser or google-chrome on the PATH")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(filled, tmp_path_factory) -> Iterator[Running]:
    """The app as a process of its own, on a copy of the store that it may write to."""
    chromium()
    folder = tmp_path_factory.mktemp("browser")
    source = Path(filled.url.removeprefix("sqlite:///"))
    shutil.copy(source, folder / "store.db")
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(PROJECT / "streamlit_app.py")]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port), "--server.headless", "true"]
    command += ["--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"]
    environment = os.environ | {STORE_VARIABLE: f"sqlite:///{folder / 'store.db'}"}
    with (folder / "app.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=PROJECT)
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health", process)
            yield Running(f"http://127.0.0.1:{port}", environment[STORE_VARIABLE])
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        assert process.poll() is None, "the app ended by itself"
        try:
            with urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail("the app did not answer in time")


@pytest.fixture(scope="module")
def browser(server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(params=["light"])
def tab(browser, request):
    """A tab that notes every request which leaves this machine."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=request.param)
    tab.set_default_timeout(WAIT_MS)
    outside: list[str] = []

    def note(sent) -> None:
        if urlsplit(sent.url).hostname not in {"127.0.0.1", None}:
            outside.append(sent.url)

    tab.on("request", note)
    yield tab
    tab.close()
    assert outside == []


def visit(tab, address: str, title: str, figures: int = 0) -> None:
    """Open a page and wait until it and its figures are drawn."""
    tab.goto(address)
    tab.locator("h1", has_text=title).wait_for()
    settle(tab, figures)


def settle(tab, figures: int = 0) -> None:
    """Wait until the script has run and this many charts, if any, are drawn; nothing may have gone wrong."""
    if figures:
        tab.locator(".js-plotly-plot .main-svg").first.wait_for()
        tab.wait_for_function(f"document.querySelectorAll('.js-plotly-plot .nsewdrag').length >= {figures}")
    tab.wait_for_function("document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'")
    assert tab.locator("[data-testid=stException]").count() == 0
    assert tab.locator("[role=dialog]").count() == 0


def shoot(tab, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=str(SCREENSHOTS / f"{name}.png"))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("tab", ["light", "dark"], indirect=True)
def test_every_page(tab, server, filled, name, request):
    title = PAGES[name][0]
    path = "" if name == "space" else name
    figures = {"heterogeneity": 4, "architecture": 3, "compare": 0, "build": 2, "query": 0, "jobs": 0}.get(name, 1)
    visit(tab, f"{server.url}/{path}?space=nano&id={filled.best}", title, figures)
    assert tab.locator(".js-plotly-plot").count() == figures
    assert tab.locator("[data-testid=stAlertContentError]").count() == 0
    shoot(tab, f"{name}-{request.node.callspec.params['tab']}")


def test_the_menu_leads_everywhere(tab, server):
    visit(tab, server.url, "Space")
    for title, _ in PAGES.values():
        tab.get_by_test_id("stSidebarNavLink").filter(has=tab.get_by_text(title, exact=True)).click()
        tab.locator("h1", has_text=title).wait_for()
        settle(tab)
    assert "space=nano" in tab.url


def most_isolated_point(tab) -> tuple[float, float, str]:
    """The scored point farthest from any other: where it is on the screen, by the chart's own scales, and its id."""
    points = tab.evaluate(
        """() => {
            const chart = document.querySelector('.js-plotly-plot'), {xaxis, yaxis} = chart._fullLayout;
            const box = chart.getBoundingClientRect();
            return chart._fullData.filter(trace => trace.customdata?.length).flatMap(trace => trace.customdata.map(
                (data, row) => [box.x + xaxis._offset + xaxis.d2p(trace.x[row]),
                                box.y + yaxis._offset + yaxis.d2p(trace.y[row]), data[0], trace.name]));
        }"""
    )
    places = np.array([point[:2] for point in points])
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag([np.inf] * len(points))
    alone = np.where([point[3] == "scored" for point in points], distances.min(axis=1), -1.0)
    x, y, id, _ = points[int(alone.argmax())]
    return x, y, id


def test_a_click_on_the_map_selects(tab, server, filled):
    visit(tab, f"{server.url}/?space=nano", "Space", 1)
    assert "id=" not in tab.url
    x, y, id = most_isolated_point(tab)
    tab.mouse.move(x, y)
    tab.mouse.click(x, y)
    tab.wait_for_url(f"**id={id}*")
    settle(tab)
    card = tab.locator("[data-testid=stTable]")
    card.wait_for()
    assert f"{filled.values[id]:.4f}" in card.inner_text()
    shoot(tab, "space-selected")
    tab.get_by_text("Open its page").click()
    tab.locator("h1", has_text="Architecture").wait_for()
    tab.get_by_text(id).first.wait_for()
    settle(tab)


def test_a_search_is_launched_and_seen_to_its_end(tab, server, filled):
    visit(tab, f"{server.url}/search?space=nano", "Search")
    tab.get_by_role("combobox", name="Objective").click()
    tab.get_by_role("option", name="Known scores: mean").click()
    settle(tab)
    tab.get_by_role("combobox", name="Policy").click()
    tab.get_by_role("option", name="Random search").click()
    name = "nano-mean-random-seed0-1"
    tab.wait_for_function(f"document.querySelector('[aria-label=\"Study name\"]').value === '{name}'")
    tab.get_by_role("button", name="Launch").click()
    tab.wait_for_url(f"**study={name}*")
    tab.get_by_text("20 of 50 done").wait_for(timeout=120_000)
    tab.get_by_text("3 studies of nano on mean").wait_for()
    assert f"{filled.values[filled.best]:.4f}" in tab.inner_text("[data-testid=stMain]")
    tab.reload()
    tab.get_by_text("20 of 50 done").wait_for()
    settle(tab)
    shoot(tab, "search-done")


def test_the_figures_of_a_study(tab, server, filled):
    visit(tab, f"{server.url}/search?space=nano&study=first", "Search", 1)
    for name, kind in (("Choices", "parcoords"), ("Timeline", "bar")):
        tab.get_by_test_id("stButtonGroup").get_by_text(name, exact=True).click()
        # What is drawn, in the end, and not what was asked for.
        tab.wait_for_function(f"document.querySelector('.js-plotly-plot')?._fullData?.[0]?.type === '{kind}'")
        settle(tab)
        shoot(tab, f"search-{name.lower()}")
    bars = "document.querySelector('.js-plotly-plot')._fullData.map(trace => [trace.name, trace.y.length])"
    assert dict(tab.evaluate(bars)) == {"complete": 3, "failed": 1}


def test_new_scores_appear_by_themselves(tab, server, filled):
    visit(tab, f"{server.url}/?space=nano", "Space")
    tab.get_by_text("20 of them scored").wait_for()
    with open_store(server.store) as store:
        known = {score.architecture for score in store.scores(space="nano")}
        new = next(id for id in filled.ids if id not in known)
        store.add_scores([ScoreRecord(new, "mean", "accuracy", 0.99, "text", "steps 100", "r", 0, "trained:late/0")])
    tab.get_by_text("21 of them scored").wait_for(timeout=30_000)
