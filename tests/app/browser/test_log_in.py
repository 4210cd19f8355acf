"""An app with a password, in a real Chromium."""

from __future__ import annotations

import pytest

from explorer.app.shared.password import PASSWORD

from ..chromium import new_tab, serving, settle


@pytest.mark.browser
@pytest.mark.slow
def test_after_the_log_in_there_is_the_page_that_was_asked_for(filled, browser, tmp_path):
    with serving(filled.url, tmp_path, {PASSWORD: "secret"}) as app, new_tab(browser) as tab:
        tab.goto(f"{app.url}/pareto?space=nano&log=true")
        field = tab.get_by_label("Password", exact=True)
        field.fill("secret")
        assert tab.get_by_test_id("stSidebarNavLink").count() == 0
        tab.get_by_role("button", name="Log in").click()
        tab.locator("h1", has_text="Pareto").wait_for()
        settle(tab, 1)
        assert "/pareto?" in tab.url
        assert "log=true" in tab.url
