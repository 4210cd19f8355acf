"""``archex app``: open the explorer in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.cli.console import DEFAULT_STORE, StoreOption, errors, opened
from explorer.runner.server import AppServer

PortOption = Annotated[int, typer.Option("--port", help="Port on this machine; 0 takes a free one.", min=0, max=65535)]


def app(store: StoreOption = DEFAULT_STORE, port: PortOption = 8501) -> None:
    """Open the app on a store. It listens on this machine only. Ctrl-C ends it."""
    with opened(store, create=False):  # A missing, damaged or newer store is refused before the browser opens.
        pass
    with AppServer(store, port) as server:
        errors.print(f"The app is at {server.url} - Ctrl-C ends it.", markup=False)
        server.open_browser()
        server.wait()
