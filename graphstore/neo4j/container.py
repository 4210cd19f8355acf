"""The managed server in a container: the service ``neo4j`` of the project's compose file.

``docker compose``, ``docker-compose`` or ``podman compose`` runs it. The environment passes the password; the data are
in a volume of the compose project ``archex``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import graphstore
from graphstore.errors import StoreError
from graphstore.neo4j.distribution import LOG_TAIL

PROJECT, SERVICE = "archex", "neo4j"
TOOLS = (("docker", "compose"), ("docker-compose",), ("podman", "compose"))
PROBE_SECONDS, PULL_SECONDS = 30.0, 1800.0


def compose_file() -> Path:
    """Return the compose file: next to the package in a checkout, inside it in an installed wheel."""
    package = Path(graphstore.__file__).resolve().parent
    installed = package / "_compose.yaml"
    return installed if installed.is_file() else package.parent / "compose.yaml"


@dataclass(frozen=True)
class Container:
    """The service and the tool that runs it.

    Attributes:
        tool: first words of the tool's commands.
        port: Bolt port on the loopback address.
        password: password of the server.
    """

    tool: tuple[str, ...]
    port: int
    password: str = field(repr=False)

    def command(self, *words: str) -> list[str]:
        """Return a command of the tool for the project."""
        return [*self.tool, "-f", str(compose_file()), "-p", PROJECT, *words]

    def environment(self) -> dict[str, str]:
        """Return the environment with the port and the password."""
        return {**os.environ, "NEO4J_PASSWORD": self.password, "NEO4J_PORT": str(self.port)}

    def _run(self, words: Sequence[str], timeout_s: float) -> str:
        shown = " ".join([*self.tool, *words])
        try:
            done = subprocess.run(
                self.command(*words),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise StoreError(f"`{shown}` did not end in {timeout_s:.0f} s. Check the container service.") from None
        if done.returncode:
            said = (done.stderr + done.stdout).strip()[-LOG_TAIL:].replace(self.password, "***")
            raise StoreError(f"`{shown}` failed (exit {done.returncode}): {said}")
        return done.stdout

    def is_running(self) -> bool:
        """Return whether the container runs. Raises StoreError if the tool does not work."""
        return bool(self._run(["ps", "-q", SERVICE], PROBE_SECONDS).strip())

    def up(self) -> None:
        """Start the container in the background; a missing image is downloaded."""
        self._run(["up", "-d", SERVICE], PULL_SECONDS)

    def stop(self) -> None:
        """Stop the container; its data are kept."""
        self._run(["stop", SERVICE], PROBE_SECONDS + 60.0)

    def logs(self, lines: int, follow: bool) -> Iterator[str]:
        """Yield the last lines of the log, and with ``follow`` all further ones."""
        words = ["logs", "--no-color", "--tail", str(lines), *(["--follow"] if follow else []), SERVICE]
        with subprocess.Popen(
            self.command(*words), env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            yield from (line.rstrip("\n") for line in process.stdout)


def find_container(port: int, password: str) -> Container:
    """Return the service with the first tool that works.

    Raises:
        StoreError: no tool works; the message contains the answer of each.
    """
    seen = []
    for tool in TOOLS:
        if shutil.which(tool[0]) is None:
            continue
        container = Container(tool, port, password)
        try:
            container.is_running()
        except StoreError as error:
            seen.append(f"{error}")
        else:
            return container
    remedy = "Install Docker or Podman with its compose plugin, and start its service."
    if not seen:
        raise StoreError(f"there is neither docker nor podman. {remedy}")
    raise StoreError(f"{' '.join(' '.join(seen).split())} {remedy}")
