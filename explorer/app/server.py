"""The app as a child process of the command line. It listens on the loopback unless the user names another address."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import subprocess
import sys
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
LONGEST_BASE_PATH = 200
"""Maximum number of characters of a base path."""
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")


def checked_base_path(given: str) -> str:
    """Return the path below which a reverse proxy serves the app, for example ``/explorer``; empty for the root.

    Args:
        given: the path, with or without slashes at its ends.

    Raises:
        InputError: it would need escapes in a URL, or is too long.
    """
    path = given.strip().strip("/")
    if not path:
        return ""
    if len(path) > LONGEST_BASE_PATH or not all(_SEGMENT.fullmatch(segment) for segment in path.split("/")):
        rule = (
            f"be at most {LONGEST_BASE_PATH} characters: names that begin with a letter or digit and contain letters, "
            "digits, '.', '_', '~' and '-', separated by '/'"
        )
        raise InputError("base path", rule, given, "Write for example /explorer.")
    return f"/{path}"


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
        base_path: path below which a reverse proxy serves the app; see ``checked_base_path``.

    Raises:
        InputError: the address does not belong to this machine, or the base path breaks its rule.
    """

    def __init__(
        self,
        store_url: str,
        port: int,
        host: str = HOST,
        login: Mapping[str, str] | None = None,
        base_path: str = "",
    ) -> None:
        self._base_path = checked_base_path(base_path)
        self.port = free_port(port, host)
        self.url = f"http://{HOST if host == ANY else host}:{self.port}{self._base_path}"
        self._host = host
        self._store_url, self._login = store_url, login or {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> AppServer:
        options = {
            "server.address": self._host,
            "server.port": str(self.port),
            # Also where it is empty: a base path from Streamlit's own configuration would move the health check.
            "server.baseUrlPath": self._base_path,
            "server.headless": "true",
            "browser.gatherUsageStats": "false",
            "server.fileWatcherType": "none",
            # A full garbage collection after each script run would dominate the time of a page of a large space.
            "runner.postScriptGC": "false",
            # Rich prints tracebacks of pages to standard output; the logger uses standard error, which is inherited.
            "logger.enableRich": "false",
        }
        command = [sys.executable, "-m", "streamlit", "run", str(server_file())]
        command += [part for name, value in options.items() for part in (f"--{name}", value)]
        # Each thread runs scripts; glibc would keep a heap with freed memory for every one of them.
        environment = {"MALLOC_ARENA_MAX": "2", **os.environ, **self._login, STORE_VARIABLE: self._store_url}
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
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

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                code = self._process.returncode
                raise ExplorerError(f"the app did not start (exit code {code}); its error output is above")
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
