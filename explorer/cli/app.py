"""``archex app``: open the explorer in the browser."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from explorer.app.server import HOST, AppServer, checked_base_path, is_loopback
from explorer.app.shared.password import PASSWORD, PASSWORD_FILE, password_of
from explorer.cli.console import DEFAULT_STORE, StoreOption, errors, opened, say

PortOption = Annotated[int, typer.Option("--port", help="Port on this machine; 0 takes a free one.", min=0, max=65535)]
HostOption = Annotated[
    str,
    typer.Option("--host", help="Address to listen on; any but the default admits other machines."),
]
BasePathOption = Annotated[
    str,
    typer.Option(
        "--base-path",
        envvar="STREAMLIT_SERVER_BASE_URL_PATH",
        help="Path below which a reverse proxy serves the app, for example /explorer.",
    ),
]


def _admitted() -> str:
    """Return who can use an app that listens to other machines."""
    if password_of(os.environ):
        return "They must know the password."
    return (
        "Unless Streamlit has a log-in ([auth] in .streamlit/secrets.toml), everyone who reaches it can read the store "
        f"and start jobs; set a password in {PASSWORD} or in the file {PASSWORD_FILE}."
    )


def app(
    store: StoreOption = DEFAULT_STORE,
    port: PortOption = 8501,
    host: HostOption = HOST,
    base_path: BasePathOption = "",
) -> None:
    """Open the app on a store. It listens on this machine only, unless --host is given. Ctrl-C stops it.

    Errors of its pages are written to standard error.
    """
    path = checked_base_path(base_path)
    with opened(store, create=False) as found:  # refuse a missing, damaged or newer store before the browser opens
        url, login = found.url, found.login
    if not is_loopback(host):
        say(f"Warning: on {host} the app is open to others. {_admitted()}")
    with AppServer(url, port, host, login, path) as server:
        errors.print(f"The app is at {server.url} - Ctrl-C stops it.", markup=False)
        server.open_browser()
        server.wait()
