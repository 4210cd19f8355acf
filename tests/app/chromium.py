"""The app as a process of its own and a real headless Chromium that looks at it, for the tests that need both."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from explorer.app.server import server_file
from explorer.library.workplace import STORE_VARIABLE

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
HEIGHTS = {1280: 900, 1920: 1080}
"""Width of a window → its height, in pixels."""
LOOKS = (("light", 1280), ("dark", 1280), ("light", 1920))


@dataclass(frozen=True)
class Running:
    """Addresses of the running app and of its store."""

    url: str
    store: str


def chromium() -> str:
    """Path of an installed Chromium; skips where there is none, and fails in CI."""
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


@contextmanager
def serving(store: str, folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Running]:
    """The app on a store, with its log in a folder, until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(server_file())]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port), "--server.headless", "true"]
    command += ["--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"]
    environment = os.environ | {STORE_VARIABLE: store} | dict(variables or {})
    with (folder / "app.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=PROJECT)
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health", process)
            yield Running(f"http://127.0.0.1:{port}", store)
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


@contextmanager
def browsing():
    """A browser, until the block ends; its tabs share a cache, so that they read the app's program once."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser.new_context()
        browser.close()


@contextmanager
def new_tab(browser):
    """A visitor's tab; what it asks of any other machine makes the test fail."""
    tab = browser.new_page()
    tab.set_default_timeout(WAIT_MS)
    look(tab, *LOOKS[0])
    outside: list[str] = []

    def note(sent) -> None:
        if urlsplit(sent.url).hostname not in {"127.0.0.1", None}:
            outside.append(sent.url)

    tab.on("request", note)
    yield tab
    tab.close()
    assert outside == []


def look(tab, scheme: str, width: int) -> None:
    """Choose light or dark, and a width in pixels."""
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": HEIGHTS[width]})


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
    # The first list or table of a visit brings its program with it.
    tab.wait_for_function("document.querySelector('[data-testid=stSkeleton]') === null")
    assert tab.locator("[data-testid=stException]").count() == 0
    assert tab.locator("[role=dialog]").count() == 0


def choose(tab, label: str, option: str) -> None:
    """Choose from a list."""
    _with_list(tab, label, lambda options: options.filter(has_text=option).first.click(timeout=5_000))
    settle(tab)


def offered(tab, label: str) -> list[str]:
    """The options of a list; the first of them is chosen."""

    def take_first(options) -> list[str]:
        options.first.wait_for(timeout=5_000)
        found = options.all_inner_texts()
        options.first.click(timeout=5_000)
        return found

    return _with_list(tab, label, take_first)


def _with_list(tab, label: str, act):
    """Open a list and do something with its options; again where a page that is drawn anew has closed it."""
    from playwright.sync_api import TimeoutError

    for _ in range(10):
        tab.get_by_role("combobox", name=label).first.click()
        try:
            return act(tab.get_by_role("option"))
        except TimeoutError:
            tab.keyboard.press("Escape")
    pytest.fail(f"nothing can be chosen from the list {label!r}")


def fill(tab, label: str, text: str) -> None:
    """Type into a field and send it."""
    field = tab.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Enter")
    settle(tab)


def press(tab, name: str) -> None:
    """Press a button."""
    tab.get_by_role("button", name=name).first.click()


def shoot(tab, name: str) -> None:
    """Keep a picture of what is seen, in the ignored folder of artefacts."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=str(SCREENSHOTS / f"{name}.png"))
