"""The app behind a reverse proxy that gives it a path of a site, in a real Chromium."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from explorer.app.navigation import PAGES
from explorer.app.server import AppServer

from ..chromium import new_tab, press, settle, visit
from .front_proxy import FrontProxy

pytestmark = pytest.mark.slow

PATH = "/team/explorer"


@pytest.fixture(scope="module")
def site(filled):
    """The app's proxy, as a visitor reaches it."""
    with AppServer(filled.url, 0, base_path=PATH) as app, FrontProxy(PATH, app.port) as proxy:
        assert app.url.endswith(PATH)
        yield proxy
        assert proxy.strays == []


@pytest.fixture
def quiet_tab(browser, site):
    """A tab whose console must have no error."""
    with new_tab(browser) as tab:
        errors: list[str] = []

        def note(said) -> None:
            # Streamlit finds its path by trial: below the page's own path there is nothing.
            if said.type == "error" and not said.location["url"].startswith(f"{site.url}/pareto/_stcore/"):
                errors.append(f"{said.location['url']}: {said.text}")

        tab.on("console", note)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        yield tab
        assert errors == []


@pytest.mark.browser
def test_every_page_its_links_and_buttons_stay_below_the_path(site, quiet_tab, filled):
    tab = quiet_tab
    visit(tab, f"{site.url}/pareto?space=nano&id={filled.best}", "Pareto", 1)
    with tab.expect_download() as download:
        tab.get_by_test_id("stDownloadButton").get_by_text("CSV").first.click()
    assert download.value.url.startswith(f"{site.url}/media/")
    tab.get_by_text("Open its page").click()
    tab.locator("h1", has_text="Architecture").wait_for()
    settle(tab)
    assert tab.url.startswith(f"{site.url}/architecture?")
    assert f"id={filled.best}" in tab.url
    for place, (name, (title, _)) in enumerate(PAGES.items()):
        tab.get_by_test_id("stSidebarNavLink").filter(has=tab.get_by_text(title, exact=True)).click()
        tab.locator("h1", has_text=title).wait_for()
        settle(tab)
        assert urlsplit(tab.url).path == f"{PATH}/{name if place else ''}"
    tab.get_by_role("tab", name="Store").click()
    press(tab, "Check now")
    tab.get_by_text("No problems").wait_for()
    assert {cookie["path"] for cookie in tab.context.cookies(f"{site.url}/")} == {PATH}
    assert tab.context.cookies(site.url.removesuffix(PATH)) == []


def test_addresses_without_a_page_lead_below_the_path(site):
    def get(path: str):
        connection = HTTPConnection(urlsplit(site.url).netloc, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    moved = get(f"{PATH}?space=nano")
    assert moved.status == 307
    assert moved.getheader("location") == f"{site.url}/?space=nano"
    assert get(f"{PATH}/pareto/?space=nano").getheader("location") == f"{PATH}/pareto?space=nano"
    page = get(f"{PATH}/pareto")
    assert "img-src 'self' data: blob:;" in page.getheader("content-security-policy")
    assert get(f"{PATH}/_stcore/health").status == 200
