"""The user's own Neo4j on this machine: started when it is needed, running until it is stopped.

Its home folder, ``archex/neo4j`` in the user's data folder, contains the configuration, the data, the logs, the
password (readable by its owner only) and ``server.json``, the state. The state identifies the process by its number
*and* its start time, so that another process with the same number is never mistaken for it. Starting and stopping hold
a lock. The server comes from the first of three sources that works (see ``graphstore.neo4j.distribution`` and
``container``); once it has data, only from sources that can read them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from graphstore.errors import StoreError
from graphstore.neo4j.container import Container, find_container
from graphstore.neo4j.distribution import Distribution, Say, alone, fetched_distribution, named_distribution, quiet
from graphstore.neo4j.server import (
    ENTRY_POINT,
    HOST,
    STOP_SECONDS,
    USER,
    answers,
    configure,
    free_port,
    is_free,
    kept_password,
    known_password,
    log_file,
    log_tail,
    server_command,
    set_password,
    wait_ready,
)
from graphstore.neo4j.status import Login, NoServerError, ServerState, State, Status

FIRST_PORT = 7687
PORT_SECONDS = 5.0
"""How long a server that starts again waits for its port."""
HEAP = "1g"
NAMED, FETCHED, CONTAINER = "NEO4J_HOME", "Java and Maven", "containers"

# Starts a command that is not our child and prints its process number, so that it outlives this process.
_DETACH = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'


def data_folder() -> Path:
    """Return ``archex`` in the user's data folder."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "archex"


def _started(process: psutil.Process) -> float:
    # Relative to the boot time, because the clock may be set while the server runs.
    return float(process.create_time() - psutil.boot_time())


class ManagedNeo4j:
    """The managed server of one home folder. Several processes may manage the same one.

    Args:
        home: its folder; by default the user's.
        first_port: its port at the first start, if that is free; it keeps its port.
        heap: maximum size of Java's heap, in ``m`` or ``g``.
    """

    def __init__(self, home: Path | None = None, first_port: int = FIRST_PORT, heap: str = HEAP) -> None:
        self.home = (home or data_folder() / "neo4j").absolute()
        self._first_port = first_port
        self._heap = heap
        self._file = self.home / "server.json"

    @property
    def log(self) -> Path:
        """The server's log file, unless it runs in a container."""
        return log_file(self.home)

    def start(self, say: Say = quiet) -> Login:
        """Start the server if it does not run, and wait until it answers.

        Args:
            say: receives a line for each step.

        Raises:
            StoreError: no source of a server works (the message has the reasons), or the server does not start.
        """
        state = State.read(self._file)
        if self._is_up(state) and answers(state.port):
            return self._login(state)
        self._make_home()
        with alone(self.home / "lock"):
            state = State.read(self._file)
            self._refuse_elsewhere(state)
            if not self._is_up(state):
                state = self._adopted(state)
            if not self._is_up(state):
                return self._start(state, say)
            if state.ready:
                say(f"Neo4j runs (process {state.pid}) but does not answer; stop it")
            try:
                self._wait(state, say)
            except StoreError:
                if self._is_up(state):
                    raise
                say("That one has ended")
                return self._start(state, say)
            replace(state, ready=True).write(self._file)
            return self._login(state)

    def login_at(self, port: int) -> Login | None:
        """Return the log-in of the running server if it listens on this port of the loopback address."""
        state = State.read(self._file)
        return self._login(state) if state.port == port and self._is_up(state) else None

    def status(self) -> Status:
        """Return the state of the server."""
        state = State.read(self._file)
        source, version, refused = state.source, state.version, state.refused
        if state.up and state.host != socket.gethostname():
            condition = ServerState.ELSEWHERE
        elif self._is_up(state):
            silent = ServerState.SILENT if state.ready else ServerState.STARTING
            condition = ServerState.RUNNING if answers(state.port) else silent
        else:
            condition = ServerState.CRASHED if state.up else ServerState.STOPPED
            try:
                chosen, refused = self._choose(state, quiet, fetch=False)
                source, version = _named(chosen)
            except NoServerError as error:
                source, version, refused = "", "", error.refused
        url = f"bolt://{HOST}:{state.port}" if state.port else ""
        pid = state.pid if condition in (ServerState.RUNNING, ServerState.STARTING, ServerState.SILENT) else 0
        return Status(condition, url, source, version, pid, refused, str(self.home), str(self.log))

    def stop(self, say: Say = quiet) -> bool:
        """Stop the server; if it does not end within a minute, it is killed and recovers at the next start.

        Returns:
            Whether it was running.
        """
        if not self._file.exists():
            return False
        with alone(self.home / "lock"):
            state = State.read(self._file)
            self._refuse_elsewhere(state)
            if not self._is_up(state):
                state = self._adopted(state)
            running = self._is_up(state)
            if running:
                say("Stopping Neo4j")
                self._end(state)
            _stopped(state).write(self._file)
            return running

    def logs(self, lines: int, follow: bool = False) -> Iterator[str]:
        """Yield the last lines of the log, and with ``follow`` all further ones, without end."""
        state = State.read(self._file)
        if state.source == CONTAINER:
            container = find_container(state.port, known_password(self.home))
            yield from container.logs(lines, follow)
            return
        if not self.log.exists():
            return
        with self.log.open(encoding="utf-8", errors="replace") as file:
            yield from (line.rstrip("\n") for line in file.readlines()[-lines:])
            while follow:
                line = file.readline()
                if line:
                    yield line.rstrip("\n")
                else:
                    time.sleep(0.3)

    def _make_home(self) -> None:
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.home / "lock").open("a").close()
        except OSError as error:
            raise StoreError(
                f"the managed Neo4j must have a writable folder, but got {str(self.home)!r} ({error.strerror}). "
                "Correct the permissions, or XDG_DATA_HOME."
            ) from None

    def _start(self, state: State, say: Say) -> Login:
        chosen, refused = self._choose(state, say, fetch=True)
        port = self._choose_port(state, say)
        source, version = _named(chosen)
        new = State(port, source, version, True, socket.gethostname(), refused=refused)
        say(f"Starting Neo4j {version} from {source}")
        size = self.log.stat().st_size if self.log.exists() else 0
        try:
            if isinstance(chosen, Container):
                replace(chosen, port=port).up()
            else:
                configure(self.home, port, True, self._heap)
                set_password(self.home, chosen)
                new = self._spawn(new, server_command(self.home, chosen, self._heap))
            new.write(self._file)
            took = self._wait(new, say, size)
            new = replace(new, ready=True)
            new.write(self._file)
        except BaseException:
            with suppress(StoreError):  # report the first error
                self._end(new)
            _stopped(state).write(self._file)
            raise
        say(f"Neo4j answers at bolt://{HOST}:{port} after {took:.0f} s and runs until it is stopped")
        return self._login(new)

    def _choose_port(self, state: State, say: Say) -> int:
        """Return the port of the last start, or the first one, or another one where that is taken."""
        wanted = state.port or self._first_port
        # A killed Java gives its port back a moment after it counts as ended.
        deadline = time.monotonic() + (PORT_SECONDS if state.port else 0)
        while not is_free(wanted):
            if time.monotonic() >= deadline:
                port = free_port()
                say(f"Port {wanted} is taken; Neo4j listens on {port}")
                return port
            time.sleep(0.05)
        return wanted

    def _choose(self, state: State, say: Say, fetch: bool) -> tuple[Distribution | Container, dict[str, str]]:
        """Return the first source that works, and why those before it do not."""
        sources: dict[str, Callable[[], Distribution | Container]] = {
            NAMED: named_distribution,
            FETCHED: lambda: fetched_distribution(say, fetch),
            # A status query needs no password and creates none.
            CONTAINER: lambda: find_container(state.port, kept_password(self.home) if fetch else "unused"),
        }
        refused: dict[str, str] = {}
        for name, find in sources.items():
            if state.source and (state.source == CONTAINER) != (name == CONTAINER):
                place = "in a container's volume" if state.source == CONTAINER else f"in {self.home / 'data'}"
                refused[name] = f"the data are {place}. Copy the store to move them."
                continue
            try:
                return find(), refused
            except StoreError as error:
                refused[name] = str(error)
        raise NoServerError(refused)

    def _spawn(self, state: State, command: list[str]) -> State:
        with subprocess.Popen(
            ["sh", "-c", _DETACH, "sh", str(self.log), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as shell:
            pid = int(shell.communicate()[0])
        with suppress(psutil.Error):  # it may have ended already, which the wait detects
            return replace(state, pid=pid, started=_started(psutil.Process(pid)))
        return replace(state, pid=pid)

    def _wait(self, state: State, say: Say, size: int = 0) -> float:
        def ended() -> str:
            return "" if self._is_up(state) else "ended"

        def said() -> str:
            return log_tail(self.log, size) if state.source != CONTAINER else "See its log."

        return wait_ready(state.port, ended, said, say)

    def _end(self, state: State) -> None:
        if state.source == CONTAINER:
            find_container(state.port, known_password(self.home)).stop()
            return
        process = self._process(state)
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            process.terminate()
            if not self._ends(state, STOP_SECONDS):
                process.kill()
                self._ends(state, STOP_SECONDS)

    def _ends(self, state: State, timeout_s: float) -> bool:
        """Wait until the process has ended; a zombie counts as ended."""
        deadline = time.monotonic() + timeout_s
        while self._process(state) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        return self._process(state) is None

    def _is_up(self, state: State) -> bool:
        if not state.up or state.host != socket.gethostname():
            return False
        if state.source == CONTAINER:
            with suppress(StoreError):
                return find_container(state.port, known_password(self.home)).is_running()
            return False
        return self._process(state) is not None

    def _process(self, state: State) -> psutil.Process | None:
        """Return the server's process, never another one with the same number."""
        with suppress(psutil.Error):
            process = psutil.Process(state.pid) if state.pid else None
            if process and abs(_started(process) - state.started) < 1.0 and self._is_ours(process, or_beginning=True):
                return process
        return None

    def _is_ours(self, process: psutil.Process, or_beginning: bool = False) -> bool:
        words = process.cmdline()
        if not words:  # empty for a moment during exec, and for zombies
            return or_beginning and process.status() != psutil.STATUS_ZOMBIE
        return ENTRY_POINT in words and f"--home-dir={self.home}" in words

    def _adopted(self, state: State) -> State:
        """Find a running server of this home folder whose starter was killed before it wrote the state."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if self._is_ours(process):
                    lines = (self.home / "conf" / "neo4j.conf").read_text(encoding="utf-8").splitlines()
                    port = int(dict(line.split("=", 1) for line in lines)["server.bolt.listen_address"].split(":")[1])
                    found = replace(_stopped(state), up=True, port=port, pid=process.pid, started=_started(process))
                    found = replace(found, host=socket.gethostname(), source=state.source or FETCHED)
                    found.write(self._file)
                    return found
        return state

    def _refuse_elsewhere(self, state: State) -> None:
        if state.up and state.host != socket.gethostname():
            raise StoreError(
                f"the managed Neo4j must be started and stopped on the machine it runs on, {state.host!r}, but this is "
                f"{socket.gethostname()!r}. Stop it there; if that machine is gone, delete {self._file}."
            )

    def _login(self, state: State) -> Login:
        return Login(f"bolt://{HOST}:{state.port}", USER, known_password(self.home))


def _stopped(state: State) -> State:
    """Return the state of a server that does not run."""
    return replace(state, up=False, pid=0, started=0.0, ready=False)


def _named(chosen: Distribution | Container) -> tuple[str, str]:
    """Return source and version."""
    if isinstance(chosen, Container):
        return CONTAINER, ""
    return chosen.source, chosen.version
