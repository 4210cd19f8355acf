"""A real Neo4j Community server on this machine, without an installation.

Its libraries come from Maven's repository by the machine's own ``mvn`` (213 jars, 128 MB), once, into the user's cache
folder; the machine's own Java, 17 or newer, runs them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from graphstore.errors import StoreError

VERSION = "5.26.30"
OLDEST_JAVA = 17
START_SECONDS, STOP_SECONDS = 180.0, 60.0
LOG_TAIL = 2000

Say = Callable[[str], None]
"""Told, one line at a time, what is going on."""

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>archex</groupId>
  <artifactId>neo4j-libraries</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.neo4j</groupId>
      <artifactId>neo4j</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

_OPENS = ("java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch")

# A client's first bytes: Bolt's magic number and four versions it could speak (5.0 to 5.8, 4.4, none, none).
_HANDSHAKE = bytes.fromhex("6060b017" "00080805" "00000404" "00000000" "00000000")  # fmt: skip


def _quiet(_: str) -> None:
    pass


def cache_folder() -> Path:
    """Where downloaded libraries are kept: ``archex`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "archex"


def find_java() -> str:
    """Path of a Java that can run the server. Raises StoreError, saying what is missing."""
    home = os.environ.get("JAVA_HOME")
    java = (shutil.which("java", path=str(Path(home) / "bin")) if home else None) or shutil.which("java")
    if java is None:
        raise StoreError(f"a local Neo4j needs Java {OLDEST_JAVA} or newer, but there is no java. Install a JRE.")
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    text = shown.stderr + shown.stdout
    found = re.search(r'version "(\d+)', text)
    if found is None or int(found[1]) < OLDEST_JAVA:
        first = text.strip().partition("\n")[0]
        raise StoreError(f"a local Neo4j needs Java {OLDEST_JAVA} or newer, but got {first!r}. Install a newer JRE.")
    return java


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock file: of several processes one at a time gets in."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def libraries(say: Say = _quiet) -> Path:
    """The folder with the server's jars, fetched by Maven if it is not there yet.

    Raises:
        StoreError: there is no Maven, or it failed.
    """
    folder = cache_folder() / f"neo4j-{VERSION}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_name(folder.name + ".lock")):
        if folder.is_dir():
            return folder
        maven = shutil.which("mvn")
        if maven is None:
            raise StoreError("a local Neo4j needs Maven for its libraries, but there is no mvn. Install Maven.")
        say(f"Fetching Neo4j {VERSION} by Maven (128 MB, about a minute)")
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="neo4j-part-") as part:
            pom, jars = Path(part) / "pom.xml", Path(part) / "jars"
            pom.write_text(_POM, encoding="utf-8")
            command = [maven, "-B", "-ntp", "-q", "-f", str(pom), _PLUGIN]
            command += ["-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
            run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
            if run.returncode or not any(jars.glob("neo4j-*.jar")):
                tail = (run.stdout + run.stderr)[-LOG_TAIL:]
                raise StoreError(f"Maven failed to fetch Neo4j {VERSION} (exit {run.returncode}): {tail}")
            jars.rename(folder)
    return folder


def free_port() -> int:
    """A port of the loopback address that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether a Bolt server on the loopback address answers the handshake with a version it will speak."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
            connection.sendall(_HANDSHAKE)
            version = connection.recv(4)
    except OSError:
        return False
    return len(version) == 4 and version != bytes(4)


class LocalNeo4j:
    """A server in a folder of its own, child of this process.

    Args:
        home: folder of its configuration, data and logs; made if missing.
        authenticate: whether it asks for a password. It is generated at the first start and kept in the folder,
            readable by its owner alone.
        heap: the most memory Java's heap may take, as Java writes it.

    Attributes:
        url: where it listens, once started.
        user, password: for the log-in; empty without authentication.
    """

    def __init__(self, home: Path, authenticate: bool = True, heap: str = "1g") -> None:
        self.home = home.absolute()
        self.url = ""
        self.user = "neo4j" if authenticate else ""
        self.password = ""
        self._authenticate = authenticate
        self._heap = heap
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The file everything it prints goes to."""
        return self.home / "logs" / "console.log"

    def start(self, say: Say = _quiet, timeout_s: float = START_SECONDS) -> None:
        """Start it and wait until it answers.

        Raises:
            StoreError: Java or Maven is missing, or it does not come up; the end of its log is shown.
        """
        if self._process is not None:
            raise StoreError(f"the server must be stopped to be started, but got one at {self.url}. Stop it first.")
        java, jars = find_java(), libraries(say)
        for part in ("conf", "data", "logs", "plugins", "run"):
            (self.home / part).mkdir(parents=True, exist_ok=True)
        port = free_port()
        self._configure(port)
        if self._authenticate:
            self._set_password(java, jars)
        say("Starting Neo4j")
        command = [java, f"-Xms{self._heap}", f"-Xmx{self._heap}", "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError"]
        command += [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENS]
        command += ["-Dio.netty.tryReflectionSetAccessible=true", "-Dlog4j2.disable.jmx=true", "-Dfile.encoding=UTF-8"]
        command += ["-cp", f"{jars}/*:{self.home}/plugins/*", "org.neo4j.server.CommunityEntryPoint"]
        command += [f"--home-dir={self.home}", f"--config-dir={self.home / 'conf'}", "--console-mode"]
        with self.log.open("wb") as log:
            # A session of its own: an interrupt of the terminal must not end it before we say so.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self._wait(port, say, timeout_s)
        except BaseException:
            self.stop()
            raise
        self.url = f"bolt://127.0.0.1:{port}"

    def _configure(self, port: int) -> None:
        settings = {
            "server.default_listen_address": "127.0.0.1",
            "server.bolt.listen_address": f"127.0.0.1:{port}",
            "server.bolt.advertised_address": f"127.0.0.1:{port}",
            "server.http.enabled": "false",
            "server.https.enabled": "false",
            "dbms.usage_report.enabled": "false",
            "dbms.security.auth_enabled": "true" if self._authenticate else "false",
            "server.memory.heap.initial_size": self._heap,
            "server.memory.heap.max_size": self._heap,
            "server.memory.pagecache.size": "512m",
            # Otherwise half a gigabyte is set aside for logs of a store of 80 MB.
            "db.tx_log.preallocate": "false",
            "db.tx_log.rotation.size": "32M",
            "db.tx_log.rotation.retention_policy": "keep_none",
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self.home / "conf" / "neo4j.conf").write_text(text, encoding="utf-8")

    def _set_password(self, java: str, jars: Path) -> None:
        kept = self.home / "password"
        if not kept.exists():
            password = secrets.token_urlsafe(24)
            command = [java, "-Dlog4j2.disable.jmx=true", "-cp", f"{jars}/*", "org.neo4j.cli.AdminTool", "dbms"]
            command += ["set-initial-password", password]
            places = {"NEO4J_HOME": str(self.home), "NEO4J_CONF": str(self.home / "conf")}
            run = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=False)
            if run.returncode:
                tail = (run.stdout + run.stderr)[-LOG_TAIL:].replace(password, "***")
                raise StoreError(f"the server's password could not be set (exit {run.returncode}): {tail}")
            kept.touch(mode=0o600)
            kept.write_text(password, encoding="utf-8")
        self.password = kept.read_text(encoding="utf-8")

    def _wait(self, port: int, say: Say, timeout_s: float) -> None:
        began = time.monotonic()
        told = 0
        while not answers(port):
            waited = time.monotonic() - began
            ended = self._process.poll() if self._process is not None else 0
            if ended is not None or waited > timeout_s:
                what = f"ended with {ended}" if ended is not None else f"did not answer in {timeout_s:.0f} s"
                tail = self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]
                raise StoreError(f"the local Neo4j {what}. The end of {self.log}:\n{tail}")
            if waited >= told + 5:
                told += 5
                say(f"Waiting for Neo4j ({told} s)")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it in good order; does nothing if it is not running."""
        process, self._process = self._process, None
        self.url = ""
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
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
