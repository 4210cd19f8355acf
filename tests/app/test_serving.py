"""The app's server: it hands out Streamlit's scripts as they are, names Plotly's at once, and nothing else."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from explorer.app.serving import quick_app
from explorer.app.serving.quick_app import ADDRESS, SCRIPTS, begun

from .chromium import serving


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Asks the app's server for an address, as it stands; gives the status, the headers and the body."""
    folder = tmp_path_factory.mktemp("served")
    with serving(f"sqlite:///{folder / 'none.db'}", folder) as app:

        def answer(address: str, method: str = "GET"):
            connection = HTTPConnection(urlsplit(app.url).netloc, timeout=30)
            try:
                connection.request(method, address)
                response = connection.getresponse()
                return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            finally:
                connection.close()

        yield answer


def test_every_page_names_the_script_that_draws_figures(ask):
    for address in ("/", "/architecture?id=1"):
        status, headers, body = ask(address)
        assert (status, body.count(b"<html")) == (200, 1)
        linked = re.fullmatch(r"<(.+)>; rel=modulepreload", headers["link"])
        status, _, script = ask(linked.group(1))
        assert (status, b"plotly" in script) == (200, True)
        assert "img-src 'self'" in headers["content-security-policy"]
    assert "link" not in ask("/_stcore/health")[1]


def test_scripts_are_those_of_streamlit(ask):
    files = sorted(SCRIPTS.glob("*.js"))
    assert len(files) > 100
    for file in files[:: len(files) // 10]:
        status, headers, body = ask(ADDRESS + file.name)
        assert (status, body) == (200, file.read_bytes())
        assert headers["content-type"].startswith("text/javascript")
        assert "immutable" in headers["cache-control"]


@pytest.mark.parametrize("up", ["../", "%2e%2e/", "..%2f"])
def test_nothing_but_scripts_is_read(ask, up):
    assert (SCRIPTS.parents[2] / "version.py").is_file()
    status, _, body = ask(f"{ADDRESS}{up * 3}version.py")
    # Where Streamlit has no file it answers with its empty page.
    assert status in (400, 404) or b"<html" in body
    assert b"Licensed under the Apache License" not in body or b"<html" in body


def test_a_head_has_no_body(ask):
    name = next(SCRIPTS.glob("*.js")).name
    status, _, body = ask(ADDRESS + name, "HEAD")
    assert (status, body) == (200, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a connection does not show what it took over")
def test_small_answers_are_sent_without_waiting():
    def waits(listening: socket.socket) -> bool:
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as connection:
            return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0

    async def served(listening: socket.socket) -> bool:
        async with begun(quick_app.app):
            return waits(listening)

    with socket.socket(socket.AF_INET) as listening:  # as Streamlit makes it
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert waits(listening)
        assert not asyncio.run(served(listening))
