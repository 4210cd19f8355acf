"""The app in a real headless Chromium: pages, a click on the map, figures, what appears by itself."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.app.navigation import PAGES
from graphstore import open_store
from graphstore.records import ScoreRecord

from ..chromium import LOOKS, look, new_tab, settle, shoot, visit
from .conftest import scored_architectures

FIGURES = {"heterogeneity": 4, "architecture": 3, "compare": 3, "build": 2, "query": 0, "jobs": 0, "shapes": 3}
"""Charts of each page that does not have one."""
GROUND = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
"""What the pages are drawn on: white where they are light."""
FAINT = r"""() => {
    const parse = color => {
        const found = color.match(/[\d.]+/g).map(Number), scale = color.startsWith('color(srgb') ? 255 : 1;
        return [...found.slice(0, 3).map(part => part * scale), found[3] ?? 1];
    };
    const over = ([r, g, b, alpha], ground) =>
        [r, g, b].map((part, i) => part * alpha + ground[i] * (1 - alpha)).concat(1);
    const light = color => {
        const parts = color.slice(0, 3).map(part => part / 255);
        const [r, g, b] = parts.map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const faint = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const words = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
        const style = getComputedStyle(element), isDrawn = element.namespaceURI.endsWith('svg');
        const {width, height} = element.getBoundingClientRect();
        if (!words || width < 2 || height < 2 || element.matches('style, script, noscript')) continue;
        if (style.visibility === 'hidden' || element.closest('[disabled], [aria-disabled=true], [aria-hidden=true]'))
            continue;
        // Of a figure only what stands on the page's own ground.
        if (isDrawn && !element.closest('.xtick, .ytick, .g-xtitle, .g-ytitle')) continue;
        const above = [];
        for (let one = element; one; one = one.parentElement) above.unshift(getComputedStyle(one));
        const ground = above.reduce((under, one) => over(parse(one.backgroundColor), under), [255, 255, 255, 1]);
        const [r, g, b, alpha] = parse(isDrawn ? style.fill : style.color);
        const shown = over([r, g, b, above.reduce((share, one) => share * one.opacity, alpha)], ground);
        const [low, high] = [light(shown), light(ground)].sort((one, other) => one - other);
        if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(words.slice(0, 40));
    }
    return faint;
}"""
"""Texts whose contrast with their ground is under 4.5, the least that WCAG's level AA allows."""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def visitor(browser, app, filled):
    """A tab that goes from page to page by the menu."""
    with new_tab(browser) as opened:
        visit(opened, f"{app.url}/?space=nano", "Space", 1)
        yield opened


@pytest.mark.parametrize("name", PAGES)
def test_the_menu_leads_to_every_page(visitor, app, filled, name):
    """In light and dark and at both widths; the chosen space stays chosen."""
    title, figures = PAGES[name][0], FIGURES.get(name, 1)
    look(visitor, *LOOKS[0])
    visitor.get_by_test_id("stSidebarNavLink").filter(has=visitor.get_by_text(title, exact=True)).click()
    visitor.locator("h1", has_text=title).wait_for()
    if name in ("architecture", "compare"):
        stated = f"id={filled.best}&ids={','.join(filled.ids[18:21])}"
        visit(visitor, f"{app.url}/{name}?space=nano&{stated}", title, figures)
    settle(visitor, figures)
    # A look at the shapes of another space, or at the jobs of all, leaves the chosen one as it is.
    if name not in ("shapes", "jobs"):
        visitor.wait_for_url("**space=nano*")
    for scheme, width in LOOKS:
        look(visitor, scheme, width)
        visitor.wait_for_function(f"({GROUND} === 'rgb(255, 255, 255)') === {str(scheme == 'light').lower()}")
        settle(visitor, figures)
        assert visitor.locator(".js-plotly-plot").count() == figures
        assert visitor.locator("[data-testid=stAlertContentError]").count() == 0
        assert visitor.evaluate(FAINT) == []
        shoot(visitor, f"{name}-{scheme}-{width}")


def most_isolated_point(tab) -> tuple[float, float, str]:
    """The scored point farthest from any other: where it is on the screen, by the chart's own scales, and its id."""
    points = tab.evaluate(
        """() => {
            const chart = document.querySelector('.js-plotly-plot'), {xaxis, yaxis} = chart._fullLayout;
            const box = chart.getBoundingClientRect();
            return chart._fullData.filter(trace => trace.customdata?.length).flatMap(trace => trace.customdata.map(
                (id, row) => [box.x + xaxis._offset + xaxis.d2p(trace.x[row]),
                                box.y + yaxis._offset + yaxis.d2p(trace.y[row]), id, trace.name]));
        }"""
    )
    places = np.array([point[:2] for point in points])
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag([np.inf] * len(points))
    alone = np.where([point[3] == "scored" for point in points], distances.min(axis=1), -1.0)
    x, y, id, _ = points[int(alone.argmax())]
    return x, y, id


def test_a_click_on_the_map_selects(tab, app, filled):
    visit(tab, f"{app.url}/?space=nano", "Space", 1)
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


def test_the_figures_of_a_study(tab, app, filled):
    visit(tab, f"{app.url}/search?space=nano&study=first", "Search", 1)
    for name, kind in (("Choices", "parcoords"), ("Timeline", "bar")):
        tab.get_by_test_id("stButtonGroup").get_by_text(name, exact=True).click()
        # What is drawn, in the end, and not what was asked for.
        tab.wait_for_function(f"document.querySelector('.js-plotly-plot')?._fullData?.[0]?.type === '{kind}'")
        settle(tab)
        shoot(tab, f"search-{name.lower()}")
    bars = "document.querySelector('.js-plotly-plot')._fullData.map(trace => [trace.name, trace.y.length])"
    assert dict(tab.evaluate(bars)) == {"complete": 3, "failed": 1}


def test_new_scores_appear_by_themselves(tab, app, filled):
    known = scored_architectures(app)
    visit(tab, f"{app.url}/?space=nano", "Space")
    tab.get_by_text(f"{len(known)} of them scored").wait_for()
    new = next(id for id in filled.ids if id not in known)
    with open_store(app.store) as store:
        store.add_scores([ScoreRecord(new, "mean", "accuracy", 0.99, "text", "steps 100", "r", 0, "trained:late/0")])
    tab.get_by_text(f"{len(known) + 1} of them scored").wait_for(timeout=30_000)
