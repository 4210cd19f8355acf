"""The managed server in a container: the service ``neo4j`` of the project's compose file.

Any of ``docker compose``, ``docker-compose`` and ``podman compose`` will do. The password reaches it by the
environment; the container's data are in a volume of the compose project ``archex``.
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
    """The compose file: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(graphstore.__file__).resolve().parent
    installed = package / "_compose.yaml"
    return installed if installed.is_file() else package.parent / "compose.yaml"


@dataclass(frozen=True)
class Container:
    """The service, by the tool that runs it.

    Attributes:
        tool: the words its commands begin with.
        port: of the loopback address, where Bolt is spoken.
        password: for the log-in.
    """

    tool: tuple[str, ...]
    port: int
    password: str = field(repr=False)

    def command(self, *words: str) -> list[str]:
        """A command of the tool on our project."""
        return [*self.tool, "-f", str(compose_file()), "-p", PROJECT, *words]

    def environment(self) -> dict[str, str]:
        """The environment the tool reads port and password from."""
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
        """Whether the container runs. Raises StoreError if the tool does not work."""
        return bool(self._run(["ps", "-q", SERVICE], PROBE_SECONDS).strip())

    def up(self) -> None:
        """Start it in the background; the image is fetched if it is not there yet."""
        self._run(["up", "-d", SERVICE], PULL_SECONDS)

    def stop(self) -> None:
        """End it in good order; its data stay."""
        self._run(["stop", SERVICE], PROBE_SECONDS + 60.0)

    def logs(self, lines: int, follow: bool) -> Iterator[str]:
        """The end of what it printed, and with ``follow`` all that it prints from now on."""
        words = ["logs", "--no-color", "--tail", str(lines), *(["--follow"] if follow else []), SERVICE]
        with subprocess.Popen(
            self.command(*words), env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            yield from (line.rstrip("\n") for line in process.stdout)


def find_container(port: int, password: str) -> Container:
    """The service, by the first tool that works and whose container service answers.

    Raises:
        StoreError: there is none; it says what each tool said.
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
    remedy = "Install Docker or Podman with its compose plugin, and see that its service runs."
    if not seen:
        raise StoreError(f"there is neither docker nor podman. {remedy}")
    raise StoreError(f"{' '.join(' '.join(seen).split())} {remedy}")
