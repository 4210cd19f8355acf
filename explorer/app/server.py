"""The app as a child process of the command line. It listens on the loopback unless the user names another address."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import explorer
from explorer.errors import ExplorerError, InputError
from explorer.library.workplace import STORE_VARIABLE

HOST, ANY = "127.0.0.1", "0.0.0.0"
READY_S = 60.0


def app_file() -> Path:
    """Return the Streamlit script: next to the package in a checkout, inside it in an installed wheel."""
    package = Path(explorer.__file__).resolve().parent
    installed = package / "_streamlit_app.py"
    return installed if installed.is_file() else package.parent / "streamlit_app.py"


def server_file() -> Path:
    """Return the ASGI application that ``streamlit run`` starts."""
    return Path(explorer.__file__).resolve().parent / "app" / "serving" / "asgi.py"


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def free_port(wanted: int, host: str = HOST) -> int:
    """Return ``wanted`` if nothing listens there, else a free port.

    Raises:
        InputError: the address does not belong to this machine.
    """
    failed = ""
    for port in (wanted, 0):
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return int(probe.getsockname()[1])
        except OSError as error:
            failed = str(error)
    rule = f"be an IPv4 address of this machine ({failed})"
    raise InputError("host", rule, host, f"Write {HOST}, or 0.0.0.0 for all addresses.")


class AppServer:
    """A context manager that runs the app as a child process.

    Args:
        store_url: URL of the store that the app shows.
        port: port to listen on; a free one is used if it is taken.
        host: address to listen on.
        login: environment variables with which the app logs in to the store (``GraphStore.login``).
    """

    def __init__(self, store_url: str, port: int, host: str = HOST, login: Mapping[str, str] | None = None) -> None:
        self.port = free_port(port, host)
        self.url = f"http://{HOST if host == ANY else host}:{self.port}"
        self._host = host
        self._store_url, self._login = store_url, login or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process

    def __enter__(self) -> AppServer:
        options = {
            "server.address": self._host,
            "server.port": str(self.port),
            "server.headless": "true",
            "browser.gatherUsageStats": "false",
            "server.fileWatcherType": "none",
            # A full garbage collection after each script run would dominate the time of a page of a large space.
            "runner.postScriptGC": "false",
        }
        command = [sys.executable, "-m", "streamlit", "run", str(server_file())]
        command += [part for name, value in options.items() for part in (f"--{name}", value)]
        environment = {**os.environ, **self._login, STORE_VARIABLE: self._store_url}
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._errors, env=environment
        )
        self._wait_until_ready()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._errors.close()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._errors.seek(0)
                detail = self._errors.read().decode(errors="replace")[-1000:]
                raise ExplorerError(f"the app did not start: {detail}")
            try:
                with urlopen(f"{self.url}/_stcore/health", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except (URLError, OSError):
                time.sleep(0.1)
        self.__exit__()
        raise ExplorerError(f"the app did not answer within {READY_S:.0f} s")

    def open_browser(self) -> None:
        """Open the app in the user's browser if a display is available."""
        if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(self.url)

    def wait(self) -> None:
        """Block until the app exits or the user presses Ctrl-C."""
        assert self._process is not None
        with contextlib.suppress(KeyboardInterrupt):
            self._process.wait()
