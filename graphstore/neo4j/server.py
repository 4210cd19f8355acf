"""Configure, start, await and stop the process of a local Neo4j server.

``LocalNeo4j`` lives as long as the program that started it; ``managed`` has a server that stays.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from graphstore.errors import StoreError
from graphstore.neo4j.distribution import LOG_TAIL, Distribution, Say, find_distribution, quiet

HOST = "127.0.0.1"
USER = "neo4j"
ENTRY_POINT = "org.neo4j.server.CommunityEntryPoint"
START_SECONDS, STOP_SECONDS, ANSWER_SECONDS = 180.0, 60.0, 5.0
FOLDERS = ("conf", "data", "import", "logs", "plugins", "run")

_OPENS = ("java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch")

# A client's first bytes: Bolt's magic number and four supported versions (5.0 to 5.8, 4.4, none, none).
_HANDSHAKE = bytes.fromhex("6060b017" "00080805" "00000404" "00000000" "00000000")  # fmt: skip


def is_free(port: int) -> bool:
    """Return whether nobody listens on this port of the loopback address."""
    with socket.socket() as probe:
        # As the server does it: a connection that was just closed does not occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Return whether a Bolt server on the loopback address answers the handshake with a version."""
    try:
        with socket.create_connection((HOST, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(_HANDSHAKE)
            version = connection.recv(4)
    except OSError:
        return False
    return len(version) == 4 and version != bytes(4)


def log_file(home: Path) -> Path:
    """Return the server's log file."""
    return home / "logs" / "console.log"


def _megabytes(size: str) -> int:
    return int(size[:-1]) * {"m": 1, "g": 1024}[size[-1].lower()]


def configure(home: Path, port: int, authenticate: bool, heap: str) -> None:
    """Create the server's folders and write its ``neo4j.conf``.

    Args:
        home: folder of its configuration, data and logs.
        port: Bolt port on the loopback address; all other protocols are disabled.
        authenticate: whether it asks for a password.
        heap: size of Java's heap in ``m`` or ``g``. One transaction may take half of it.
    """
    for part in FOLDERS:
        (home / part).mkdir(parents=True, exist_ok=True)
    settings = {
        "server.default_listen_address": HOST,
        "server.bolt.listen_address": f"{HOST}:{port}",
        "server.bolt.advertised_address": f"{HOST}:{port}",
        "server.http.enabled": "false",
        "server.https.enabled": "false",
        "dbms.usage_report.enabled": "false",
        "dbms.security.auth_enabled": "true" if authenticate else "false",
        # A user who may read the graph must not read files of the machine or make the server call other machines.
        "dbms.security.allow_csv_import_from_file_urls": "false",
        "server.directories.import": str(home / "import"),
        "internal.dbms.cypher_ip_blocklist": "0.0.0.0/0,::/0",
        "db.memory.transaction.max": f"{_megabytes(heap) // 2}m",
        "server.memory.heap.initial_size": heap,
        "server.memory.heap.max_size": heap,
        "server.memory.pagecache.size": "512m",
        # Otherwise the server preallocates half a gigabyte of logs for a store of 80 MB.
        "db.tx_log.preallocate": "false",
        "db.tx_log.rotation.size": "32M",
        "db.tx_log.rotation.retention_policy": "keep_none",
    }
    text = "".join(f"{key}={value}\n" for key, value in settings.items())
    (home / "conf" / "neo4j.conf").write_text(text, encoding="utf-8")


def kept_password(home: Path) -> str:
    """Return the server's password, generated at the first call; only its owner can read the file."""
    kept = home / "password"
    if not kept.exists():
        # Write and rename, so that a crash leaves no partial file. Hexadecimal digits need no quoting anywhere.
        part = kept.with_name("password.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(24))
        part.rename(kept)
    return kept.read_text(encoding="ascii")


def known_password(home: Path) -> str:
    """Return the password of a server that ran before. Raises StoreError if its file is missing."""
    if not (home / "password").exists():
        raise StoreError(f"the server's password must be in {home / 'password'}, but the file is missing. Restore it.")
    return kept_password(home)


def set_password(home: Path, distribution: Distribution) -> str:
    """Set the password of a server that never ran, and return it; a server that ran before keeps its own.

    Raises:
        StoreError: the password could not be set, or its file is missing.
    """
    if (home / "data" / "databases" / "system").exists():
        return known_password(home)
    password = kept_password(home)
    command = [distribution.java, "-Dlog4j2.disable.jmx=true", "-cp", f"{distribution.jars}/*"]
    # The tool reads the password from the file, because everybody on the machine can see command lines.
    command += ["org.neo4j.cli.AdminTool", "dbms", "set-initial-password", f"@{home / 'password'}"]
    places = {"NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}
    run = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=False)
    if run.returncode:
        tail = (run.stdout + run.stderr)[-LOG_TAIL:].replace(password, "***")
        raise StoreError(f"the server's password could not be set (exit {run.returncode}): {tail}")
    return password


def server_command(home: Path, distribution: Distribution, heap: str) -> list[str]:
    """Return the command line that runs a server in the foreground."""
    command = [distribution.java, f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError"]
    command += [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENS]
    command += ["-Dio.netty.tryReflectionSetAccessible=true", "-Dlog4j2.disable.jmx=true", "-Dfile.encoding=UTF-8"]
    command += ["-cp", f"{distribution.jars}/*:{home}/plugins/*", ENTRY_POINT]
    return [*command, f"--home-dir={home}", f"--config-dir={home / 'conf'}", "--console-mode"]


def wait_ready(
    port: int, ended: Callable[[], str], said: Callable[[], str], say: Say, timeout_s: float = START_SECONDS
) -> float:
    """Wait until the server answers; return the elapsed seconds.

    Args:
        port: port of the server.
        ended: returns how the server ended, or an empty text while it runs.
        said: returns the end of its log, for the error.
        say: receives a line every five seconds.
        timeout_s: maximum time in seconds.

    Raises:
        StoreError: it ended, or did not answer in time.
    """
    began = time.monotonic()
    reported_s = 0
    while not answers(port):
        waited = time.monotonic() - began
        how = ended()
        if how or waited > timeout_s:
            raise StoreError(f"the local Neo4j {how or f'did not answer in {timeout_s:.0f} s'}. {said()}")
        if waited >= reported_s + 5:
            reported_s += 5
            say(f"Waiting for Neo4j ({reported_s} s)")
        time.sleep(0.1)
    return time.monotonic() - began


def log_tail(log: Path, start: int = 0) -> str:
    """Return the end of a log, from a byte offset, with its path."""
    tail = log.read_bytes()[start:].decode(errors="replace")[-LOG_TAIL:] if log.exists() else ""
    return f"The end of {log}:\n{tail}"


class LocalNeo4j:
    """A server with its own folder that is a child of this process.

    Args:
        home: folder of its configuration, data and logs; created if missing.
        authenticate: whether it asks for a password. It is generated at the first start and kept in the folder,
            readable by its owner only.
        heap: maximum size of Java's heap, in ``m`` or ``g``.

    Attributes:
        url: its URL, once started.
        user, password: its log-in; empty without authentication.
    """

    def __init__(self, home: Path, authenticate: bool = True, heap: str = "1g") -> None:
        self.home = home.absolute()
        self.url = ""
        self.user = USER if authenticate else ""
        self.password = ""
        self._authenticate = authenticate
        self._heap = heap
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The server's log file."""
        return log_file(self.home)

    def start(self, say: Say = quiet, timeout_s: float = START_SECONDS, settings: str = "") -> None:
        """Start the server and wait until it answers.

        Args:
            say: receives a line for each step.
            timeout_s: maximum time in seconds.
            settings: further lines of ``neo4j.conf``.

        Raises:
            StoreError: Java or Maven is missing, or the server does not start; the message has the end of its log.
        """
        if self._process is not None:
            raise StoreError(f"the server must be stopped to be started, but got one at {self.url}. Stop it first.")
        distribution = find_distribution(say)
        port = free_port()
        configure(self.home, port, self._authenticate, self._heap)
        with (self.home / "conf" / "neo4j.conf").open("a", encoding="utf-8") as file:
            file.write(settings)
        if self._authenticate:
            self.password = set_password(self.home, distribution)
        say("Starting Neo4j")
        with self.log.open("wb") as log:
            # A new session, so that Ctrl-C in the terminal does not end it.
            process = self._process = subprocess.Popen(
                server_command(self.home, distribution, self._heap),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def ended() -> str:
            return "" if process.poll() is None else f"ended with {process.returncode}"

        try:
            wait_ready(port, ended, lambda: log_tail(self.log), say, timeout_s)
        except BaseException:
            self.stop()
            raise
        self.url = f"bolt://{HOST}:{port}"

    def stop(self, keep: bool = True) -> None:
        """Stop the server if it runs.

        Args:
            keep: stop it properly, which takes seconds. Otherwise it is killed, for data that are not needed again.
        """
        process, self._process = self._process, None
        self.url = ""
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM if keep else signal.SIGKILL)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> LocalNeo4j:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
