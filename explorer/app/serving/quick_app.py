"""Streamlit's server, which hands out its own scripts from memory and names the one that draws figures at once.

A first visit fetches some sixty scripts. Streamlit reads each of them in pieces on threads that wait for the script of
the page, and lets a browser know of Plotly, five megabytes of it, only with the first figure. Run by ``streamlit run``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import streamlit as st
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.app.server import app_file

SCRIPTS = Path(st.__file__).parent / "static" / "static" / "js"
ADDRESS = "/static/js/"
FIGURES = "PlotlyChart.*.js"
FOR_A_YEAR = b"public, immutable, max-age=31536000"
"""The names of scripts change with what is in them, so a browser need not ask again."""
NOTHING_FOREIGN = (
    b"img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; frame-src 'self'; "
    b"object-src 'none'; base-uri 'self'"
)
"""What a page may load: names in an imported table that read like a picture of another site are not fetched."""
PIECE = 256 * 1024
"""Bytes of a script that wait at most for a browser that does not take them."""


class QuickScripts:
    """Answers for Streamlit where a script is asked for, and adds headers to the answers that are pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # Only these names are answered, so nothing that a visitor writes is looked up on the disk.
        self._files = {ADDRESS + file.name: file for file in SCRIPTS.glob("*.js")}
        self._read: dict[str, bytes] = {}
        figures = [ADDRESS + file.name for file in SCRIPTS.glob(FIGURES)]
        self._added = [(b"link", f"<{name}>; rel=modulepreload".encode()) for name in figures]
        self._added.append((b"content-security-policy", NOTHING_FOREIGN))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked = scope["path"] if scope["type"] == "http" and scope["method"] == "GET" else ""
        if asked in self._files:
            await self._send_script(asked, send)
            return

        async def send_page(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_page(message):
                message = {**message, "headers": [*message["headers"], *self._added]}
            await send(message)

        await self._app(scope, receive, send_page if asked else send)

    async def _send_script(self, name: str, send: Send) -> None:
        if name not in self._read:
            self._read[name] = self._files[name].read_bytes()
        body = self._read[name]
        headers = [
            (b"content-type", b"text/javascript; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", FOR_A_YEAR),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, len(body), PIECE):
            piece = body[start : start + PIECE]
            await send({"type": "http.response.body", "body": piece, "more_body": start + PIECE < len(body)})


def _is_page(message: Message) -> bool:
    return any(name.lower() == b"content-type" and b"text/html" in value for name, value in message["headers"])


def send_at_once() -> None:
    """Send small answers without waiting for the browser's word on the last one, which takes it 40 ms.

    asyncio asks for that (``TCP_NODELAY``), but only of sockets that name their protocol, which Streamlit's does not.
    Connections take the setting over from the socket that listens.
    """
    for listening in psutil.Process().net_connections("tcp"):
        if listening.status == psutil.CONN_LISTEN and listening.fd >= 0:
            with socket.socket(fileno=os.dup(listening.fd)) as own:
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@asynccontextmanager
async def begun(app: st.App) -> AsyncIterator[None]:
    """While the server runs; its socket listens already."""
    send_at_once()
    yield


app = st.App(app_file(), middleware=[Middleware(QuickScripts)], lifespan=begun)
