"""The app as an ASGI application: Streamlit's own, plus a content security policy. ``streamlit run`` starts it."""

from __future__ import annotations

import streamlit as st
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.app.server import app_file

POLICY = (
    b"img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; frame-src 'self'; "
    b"object-src 'none'; base-uri 'self'"
)
"""Resources a page may load. A name in an imported table may contain Markdown for a remote image; it is not fetched."""


class ContentSecurityPolicy:
    """Middleware that adds ``POLICY`` to every HTML response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_html(message):
                message = {**message, "headers": [*message["headers"], (b"content-security-policy", POLICY)]}
            await send(message)

        await self._app(scope, receive, send_with_policy if scope["type"] == "http" else send)


def _is_html(message: Message) -> bool:
    return any(name.lower() == b"content-type" and b"text/html" in value for name, value in message["headers"])


app = st.App(app_file(), middleware=[Middleware(ContentSecurityPolicy)])
