"""The app in a real Chromium: how long a visitor waits, alone and among ten, and what an idle page costs.

Run ``uv run python benchmarks/app.py``, or with ``--quick`` (fewer repetitions), or with ``--large`` (instead, how long
every page of a space of 102,720 architectures takes; an error on one ends it). It shows the nano space of 9,312
architectures with 500 scores. These are drawn at random, as only their number matters here, and lie in a store made
for this benchmark alone and kept in ``--cache``. The server is warm: every page was shown once before.

* ``first_page_s``: from the address to the drawn map with its script at rest, in the new window of a browser that has
  nothing cached and that nobody inspects
* ``first_page_inspected_s``: the same as Playwright sees it, which keeps the inspector's Runtime domain open: a script
  that throws while Plotly is read then costs the place of each call above it, which V8 finds by parsing all anew
* ``page_change_s``: from a click in the menu to the next page at rest, the median over pages of their medians;
  the slowest page is ``slowest_page_s``; this and all below by Playwright
* ``select_s``: from a click on a point of the map to the card of the architecture there
* ``idle_core_share``: processor time of the server per second while one page is open and nothing happens
* ``ten_visitors_s``: the first page of the last of ten visitors who come at once; ``ten_visitors_failed`` of them saw
  an error or nothing, and the server took ``ten_visitors_server_s`` seconds of processor for all ten

The last line is one JSON object of these.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil
from playwright.async_api import Browser as AsyncBrowser
from playwright.async_api import async_playwright
from playwright.sync_api import Browser, Error, Page, sync_playwright

from explorer.app.navigation import PAGES
from explorer.app.server import AppServer
from explorer.cli.bench import OptionParser, run_main
from explorer.library.records import architecture_record
from explorer.library.spaces import build_space
from explorer.progress import SilentReporter
from explorer.search import encode_choices
from explorer.space.grammar import load_space
from graphstore import open_store
from graphstore.records import Embeddings, ScoreRecord, SpaceRecord

SPACE, SCORED = "nano", 500
LARGE, DIMENSIONS = "large", 16
TASKS = ("mean", "package", "order")
VISITORS = 10
LIMIT_MS = 120_000
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"]
AT_REST = "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
DRAWN = "document.querySelectorAll('.js-plotly-plot .nsewdrag').length >= 1"
TITLED = "[...document.querySelectorAll('h1')].some(title => title.textContent.includes('Space'))"
PAUSE_S = 0.025
SETTLE_S = 2.0
"""For a new window of the browser: its own address bar is a page of scripts, too."""
ERRORS = "[data-testid=stException], [data-testid=stAlertContentError]"
ALONE = """() => {
    const chart = document.querySelector('.js-plotly-plot'), {xaxis, yaxis} = chart._fullLayout;
    const box = chart.getBoundingClientRect();
    return chart._fullData.filter(trace => trace.customdata?.length).flatMap(trace => Array.from(trace.x, (x, row) =>
        [box.x + xaxis._offset + xaxis.d2p(x), box.y + yaxis._offset + yaxis.d2p(trace.y[row])]));
}"""


def prepare(path: Path) -> str:
    """The store of the benchmark; returns its URL."""
    url = f"sqlite:///{path.absolute()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_store(url) as store:
        build_space(store, load_space(SPACE), SilentReporter())
        if len(store.scores(space=SPACE)) < SCORED * len(TASKS):
            rng = np.random.default_rng(0)
            ids = [summary.id for summary in store.summaries(SPACE)]
            chosen = rng.choice(len(ids), SCORED, replace=False)
            for task in TASKS:
                values = rng.normal(0.65, 0.05, SCORED).clip(0, 1)
                scores = [
                    ScoreRecord(ids[i], task, "accuracy", float(v), "none", "none", "none", 0, "trained:benchmark/0")
                    for i, v in zip(chosen, values, strict=True)
                ]
                store.add_scores(scores)
    return url


def prepare_large(path: Path) -> str:
    """A store with one space of 102,720 architectures and vectors of their design choices; returns its URL."""
    nano = load_space(SPACE)
    operations = (*nano.operations, ("c", "3"), ("c", "7"))
    space = dataclasses.replace(nano, name=LARGE, title="", operations=operations, ff_widths=(32, 64, 96, 128, 160))
    url = f"sqlite:///{path.absolute()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_store(url) as store:
        if any(one.name == LARGE and one.info["ready"] for one in store.spaces()):
            return url
        specs = list(space)
        records = {record.id: record for record in map(architecture_record, specs)}
        codes = encode_choices(specs).astype(np.float64)
        codes -= codes.mean(axis=0)
        vectors = codes @ np.linalg.eigh(codes.T @ codes)[1][:, ::-1][:, :DIMENSIONS]
        info = {"title": "A hundred thousand", "source": space.source(), "architectures": len(records), "ready": False}
        store.put_space(SpaceRecord(LARGE, info))
        store.add_architectures(LARGE, list(records.values()))
        store.put_embeddings(LARGE, Embeddings(tuple(records), vectors.astype(np.float32)))
        store.put_space(SpaceRecord(LARGE, info | {"ready": True}))
    return url


@contextmanager
def visitor(browser: Browser, width: int = 1280) -> Iterator[Page]:
    """A page of a browser that has nothing cached."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    try:
        yield page
    finally:
        context.close()


def rest(page: Page, drawn: bool = False) -> None:
    """Wait until the page's script is at rest, and its first figure drawn."""
    if drawn:
        page.wait_for_function(DRAWN)
    page.wait_for_function(AT_REST)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def map_address(url: str) -> str:
    return f"{url}/?{urlencode({'space': SPACE})}"


def open_map(page: Page, url: str) -> None:
    page.goto(map_address(url))
    page.locator("h1", has_text="Space").wait_for()
    rest(page, drawn=True)


def first_page(browser: Browser, url: str) -> float:
    """Seconds to the map in a page with no inspector: a new tab is only asked, over and over, if it is there yet."""
    session, answers = browser.new_browser_cdp_session(), dict[int, Any]()

    def answered(event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        answers[message.get("id", 0)] = message.get("result")

    session.on("Target.receivedMessageFromTarget", answered)
    context = session.send("Target.createBrowserContext")["browserContextId"]
    asked = {"url": "about:blank", "browserContextId": context, "width": 1280, "height": 900}
    target = session.send("Target.createTarget", asked)["targetId"]
    tab = session.send("Target.attachToTarget", {"targetId": target, "flatten": False})["sessionId"]
    numbers = itertools.count(1)

    def ask(method: str, **parameters: object) -> Any:
        number = next(numbers)
        message = json.dumps({"id": number, "method": method, "params": parameters})
        session.send("Target.sendMessageToTarget", {"sessionId": tab, "message": message})
        while number not in answers:
            # Answers arrive while something else is asked; to ask without a pause would take a core from the page.
            time.sleep(PAUSE_S)
            session.send("Browser.getVersion")
        return answers[number]

    time.sleep(SETTLE_S)
    start = time.perf_counter()
    ask("Page.navigate", url=map_address(url))
    ready = f"Boolean({TITLED} && {DRAWN} && {AT_REST})"
    while not ask("Runtime.evaluate", expression=ready, returnByValue=True)["result"]["value"]:
        if time.perf_counter() - start > LIMIT_MS / 1000:
            sys.exit("the first page did not come")
    taken = time.perf_counter() - start
    session.send("Target.disposeBrowserContext", {"browserContextId": context})
    session.detach()
    return taken


def change(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarNavLink").filter(has=page.get_by_text(title, exact=True)).click()
    page.locator("h1", has_text=title).wait_for()
    rest(page)


def change_pages(page: Page, url: str, rounds: int) -> dict[str, float]:
    """Medians in seconds by title of page, in the menu's order, round after round; the first round warms up."""
    open_map(page, url)
    titles = [title for title, _ in PAGES.values()]
    taken: dict[str, list[float]] = {title: [] for title in titles}
    for _ in range(rounds + 1):
        for title in [*titles[1:], titles[0]]:
            taken[title].append(timed(lambda title=title: change(page, title)))  # type: ignore[misc]
            refuse_errors(page, title)
    return {title: statistics.median(seconds[1:]) for title, seconds in taken.items()}


def select(page: Page, url: str, number: int) -> float:
    """Seconds from a click on the map's loneliest point, or the next ones by ``number``, to its card."""
    open_map(page, url)
    places = np.array(page.evaluate(ALONE))
    rng = np.random.default_rng(number)
    some = rng.choice(len(places), 300, replace=False)
    nearest = np.array([np.partition(np.linalg.norm(places - places[i], axis=1), 1)[1] for i in some])
    x, y = places[some[int(nearest.argmax())]]
    page.mouse.move(x, y)
    page.wait_for_timeout(300)

    def click() -> None:
        page.mouse.click(x, y)
        page.wait_for_url("**id=*")
        page.locator("[data-testid=stTable]").first.wait_for()

    return timed(click)


def processor_s(server: psutil.Process) -> float:
    """Seconds of processor that the server has taken."""
    return sum(sum(one.cpu_times()[:2]) for one in [server, *server.children(recursive=True)])


def idle_share(page: Page, url: str, server: psutil.Process, seconds: float) -> float:
    """Share of a core that the server takes while a page is open."""
    open_map(page, url)
    page.wait_for_timeout(3000)

    before, start = processor_s(server), time.perf_counter()
    page.wait_for_timeout(1000 * seconds)
    return (processor_s(server) - before) / (time.perf_counter() - start)


def alone(
    browser: Browser, url: str, server: psutil.Process, quick: bool, figures: dict[str, float]
) -> dict[str, float]:
    """What one visitor waits for, put into ``figures``; returns the seconds of each change of page."""
    repeats, rounds, idle_s = (3, 1, 10.0) if quick else (9, 5, 30.0)
    with visitor(browser) as page:
        open_map(page, url)
    firsts, inspected = [], []
    for _ in range(repeats):
        firsts.append(first_page(browser, url))
        with visitor(browser) as page:
            page.wait_for_timeout(1000 * SETTLE_S)
            inspected.append(timed(lambda page=page: open_map(page, url)))  # type: ignore[misc]
    figures["first_page_s"] = statistics.median(firsts)
    figures["first_page_inspected_s"] = statistics.median(inspected)
    with visitor(browser) as page:
        changes = change_pages(page, url, rounds)
    figures["page_change_s"] = statistics.median(changes.values())
    figures["slowest_page_s"] = max(changes.values())
    with visitor(browser) as page:
        figures["select_s"] = statistics.median(select(page, url, number) for number in range(repeats))
    with visitor(browser) as page:
        figures["idle_core_share"] = idle_share(page, url, server, idle_s)
    return changes


async def together(executable: str, url: str, count: int) -> list[float]:
    """Seconds to the first page of visitors who come at once, each with a session of its own; NaN for a failure."""

    async def visit(browser: AsyncBrowser) -> float:
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        page = await context.new_page()
        page.set_default_timeout(LIMIT_MS)
        start, reason = time.perf_counter(), ""
        try:
            await page.goto(map_address(url))
            await page.locator("h1", has_text="Space").wait_for()
            await page.wait_for_function(DRAWN)
            await page.wait_for_function(AT_REST)
            reason = " ".join(await page.locator(ERRORS).all_inner_texts())
        except Error as error:
            state = await page.evaluate("document.querySelector('[data-testid=stApp]')?.dataset.testScriptState")
            reason = f"{error} ({state}: {(await page.locator('body').inner_text())[:200]!r})"
        taken = time.perf_counter() - start
        if reason:
            print(f"a visitor failed: {reason[:300]}")
        return float("nan") if reason else taken

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=FLAGS)
        taken = await asyncio.gather(*(visit(browser) for _ in range(count)))
        await browser.close()
    return taken


def large(browser: Browser, url: str) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each page of the large space: the first time since the server began, and the second."""
    taken: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for seconds in taken:
        for name, (title, _) in PAGES.items():
            path = "" if name == "space" else name
            with visitor(browser) as page:
                start = time.perf_counter()
                page.goto(f"{url}/{path}?{urlencode({'space': LARGE})}")
                page.locator("h1", has_text=title).wait_for()
                rest(page, drawn=name == "space")
                seconds[title] = time.perf_counter() - start
                refuse_errors(page, title)
    return taken


def refuse_errors(page: Page, title: str) -> None:
    errors = page.locator(ERRORS).all_inner_texts()
    if errors:
        sys.exit(f"the page {title} shows an error: {errors[0]}")


def _options() -> argparse.Namespace:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(".archex/benchmark-app.db"), help="the store, kept")
    parser.add_argument("--browser", help="a Chromium or Chrome; by default the first on the PATH")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--large", action="store_true", help="instead, each page of a space of 102,720 architectures")
    return parser.parse_args()


def show_large(executable: str, url: str) -> None:
    with AppServer(url, 0) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        cold, warm = large(browser, server.url)
        browser.close()
    print("| page | first visit, s | second visit, s |\n|---|---|---|")
    for title, seconds in cold.items():
        print(f"| {title} | {seconds:.1f} | {warm[title]:.1f} |")
    print(json.dumps({"large_first_s": round(max(cold.values()), 2), "large_second_s": round(max(warm.values()), 2)}))


def main() -> None:
    options = _options()
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    executable = options.browser or next(found, None)
    if executable is None:
        sys.exit("a Chromium or Chrome must be on the PATH, or named by --browser")
    if options.large:
        show_large(executable, prepare_large(options.cache.with_stem(f"{options.cache.stem}-large")))
        return
    url = prepare(options.cache)
    figures: dict[str, Any] = {}
    with AppServer(url, 0) as server:
        process = next(one for one in psutil.Process().children() if "streamlit" in " ".join(one.cmdline()))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            changes = alone(browser, server.url, process, options.quick, figures)
            browser.close()
        before = processor_s(process)
        visits = asyncio.run(together(executable, server.url, VISITORS))
        figures["ten_visitors_server_s"] = processor_s(process) - before
    figures["ten_visitors_s"] = float(np.nanmax(visits))
    figures["ten_visitors_failed"] = int(np.isnan(visits).sum())
    print("| page | seconds to change to it |\n|---|---|")
    for title, seconds in changes.items():
        print(f"| {title} | {seconds:.2f} |")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    run_main(main)
