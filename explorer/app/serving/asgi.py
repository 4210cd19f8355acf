"""The app as an ASGI application: Streamlit's own, with a content security policy and cookies below the base path.

``streamlit run`` starts it.
"""

from __future__ import annotations

import re

import streamlit as st
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.app.server import app_file

POLICY = (
    b"img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; frame-src 'self'; "
    b"object-src 'none'; base-uri 'self'"
)
"""Resources a page may load. A name in an imported table may contain Markdown for a remote image; it is not fetched."""

ROOT_COOKIE = re.compile(rb"(_streamlit_(?:xsrf|session)=.*; *path=/)(?=;|$)", re.IGNORECASE)
"""A cookie that Streamlit sets for the whole host, also below a base path. The others it limits itself."""


class OwnHeaders:
    """Middleware that adds ``POLICY`` to HTML responses and limits cookies to the base path.

    Args:
        app: the application.
        base_path: path below which a reverse proxy serves the app, without slashes at its ends. Other applications of
            the same host then neither receive nor replace the app's cookies.
    """

    def __init__(self, app: ASGIApp, base_path: str = "") -> None:
        self._app, self._base_path = app, base_path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, self._limited(name, value)) for name, value in message["headers"]]
                if any(name.lower() == b"content-type" and b"text/html" in value for name, value in headers):
                    headers.append((b"content-security-policy", POLICY))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    def _limited(self, name: bytes, value: bytes) -> bytes:
        if not self._base_path or name.lower() != b"set-cookie":
            return value
        return ROOT_COOKIE.sub(lambda found: found[1] + self._base_path, value)


base_path = str(st.get_option("server.baseUrlPath")).strip("/")
app = st.App(app_file(), middleware=[Middleware(OwnHeaders, base_path=base_path)])
