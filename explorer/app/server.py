"""The app as a child process of the command line, on the loopback only unless the user names another address."""

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
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import explorer
from explorer.errors import ExplorerError, InputError

HOST, ANY = "127.0.0.1", "0.0.0.0"
READY_S = 60.0


def app_file() -> Path:
    """The Streamlit script: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(explorer.__file__).resolve().parent
    installed = package / "_streamlit_app.py"
    return installed if installed.is_file() else package.parent / "streamlit_app.py"


def server_file() -> Path:
    """What ``streamlit run`` is given: the app's script, in a server that is quicker at a first visit."""
    return Path(explorer.__file__).resolve().parent / "app" / "serving" / "quick_app.py"


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def free_port(wanted: int, host: str = HOST) -> int:
    """``wanted`` if nothing listens there, else a free port.

    Raises:
        InputError: the address is none of this machine.
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
    """Runs the app on a store while its ``with`` block lasts.

    Args:
        store_url: the store the app shows.
        port: where it listens; another one if that is taken.
        host: the address it listens on.
    """

    def __init__(self, store_url: str, port: int, host: str = HOST) -> None:
        self.port = free_port(port, host)
        self.url = f"http://{HOST if host == ANY else host}:{self.port}"
        self._host = host
        self._store_url = store_url
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process

    def __enter__(self) -> AppServer:
        options = {
            "server.address": self._host,
            "server.port": str(self.port),
            "server.headless": "true",
            "browser.gatherUsageStats": "false",
            "server.fileWatcherType": "none",
            # A visit of a large space would spend most of its time on this; Python collects what is left over anyway.
            "runner.postScriptGC": "false",
        }
        command = [sys.executable, "-m", "streamlit", "run", str(server_file())]
        command += [part for name, value in options.items() for part in (f"--{name}", value)]
        environment = {**os.environ, "EXPLORER_STORE": self._store_url}
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
        """Show the app in the user's browser, where there is one."""
        if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(self.url)

    def wait(self) -> None:
        """Block until the app ends or the user presses Ctrl-C."""
        assert self._process is not None
        with contextlib.suppress(KeyboardInterrupt):
            self._process.wait()
