"""What is known of a managed Neo4j server: how to log in, whether it runs, and what is kept between commands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from graphstore.errors import StoreError


class Condition(StrEnum):
    """Whether the server runs. ``crashed``: it ended without having been stopped."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"
    CRASHED = "crashed"
    ELSEWHERE = "on another machine"


@dataclass(frozen=True)
class Login:
    """Where a server listens, and what it wants to hear."""

    url: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Status:
    """What ``archex neo4j status`` tells.

    Attributes:
        condition: see Condition.
        url: where it listens, or did; empty before its first start.
        source: what it runs from, or would; empty if nothing works.
        version: of Neo4j, if known.
        pid: its process, 0 without one.
        refused: sources that come first but were not taken, with the reason.
        home: folder of its data, logs and password.
        log: file of what it printed.
    """

    condition: Condition
    url: str
    source: str
    version: str
    pid: int
    refused: Mapping[str, str]
    home: str
    log: str


@dataclass(frozen=True)
class State:
    """What is kept of a managed server between commands.

    Attributes:
        port: of the loopback address; 0 before its first start.
        source, version: see Status.
        up: whether it was started and not stopped.
        host: name of the machine it runs on.
        pid, started: its process, and when that began, in seconds after the machine's boot; 0 in a container.
        refused: see Status.
    """

    port: int = 0
    source: str = ""
    version: str = ""
    up: bool = False
    host: str = ""
    pid: int = 0
    started: float = 0.0
    refused: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> State:
        """What a file says; of a server that never ran if it is not there.

        Raises:
            StoreError: it is damaged.
        """
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return cls(**found)
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError) as error:
            raise StoreError(f"{file} must be as this software wrote it ({error}). Delete it.") from None

    def write(self, file: Path) -> None:
        """Replace the file at once, so that a reader sees the old or the new state whole."""
        part = file.with_name(f"{file.name}.part")
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.rename(file)


class NoServerError(StoreError):
    """No source of a server works.

    Args:
        refused: each source with the reason.
    """

    def __init__(self, refused: Mapping[str, str]) -> None:
        self.refused = dict(refused)
        reasons = "".join(f"\n- {name}: {reason}" for name, reason in refused.items())
        super().__init__(f"a local Neo4j needs one of these, but none works:{reasons}")
