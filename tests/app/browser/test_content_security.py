"""The app's server adds a content security policy to its pages."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.slow


def test_every_page_has_a_content_security_policy(app):
    headers = {}
    for address in ("/", "/architecture?id=1", "/_stcore/health"):
        connection = HTTPConnection(urlsplit(app.url).netloc, timeout=30)
        connection.request("GET", address)
        response = connection.getresponse()
        assert response.status == 200
        headers[address] = response.getheader("content-security-policy")
        response.read()
        connection.close()
    assert "img-src 'self' data: blob:;" in headers["/"]
    assert headers["/architecture?id=1"] == headers["/"]
    assert headers["/_stcore/health"] is None
