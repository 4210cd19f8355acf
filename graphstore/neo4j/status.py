"""What is known of a managed Neo4j server: how to log in, whether it runs, and what is kept between commands."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from graphstore.errors import StoreError

LARGEST_PID = 2**31 - 1


class Condition(StrEnum):
    """Whether the server runs.

    ``crashed``: it ended without having been stopped. ``not answering``: its process lives and did answer once.
    """

    RUNNING = "running"
    STARTING = "starting"
    SILENT = "not answering"
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
        ready: whether it has answered since it was started.
    """

    port: int = 0
    source: str = ""
    version: str = ""
    up: bool = False
    host: str = ""
    pid: int = 0
    started: float = 0.0
    refused: Mapping[str, str] = field(default_factory=dict)
    ready: bool = False

    @classmethod
    def read(cls, file: Path) -> State:
        """What a file says; of a server that never ran if it is not there.

        Raises:
            StoreError: it is damaged, or cannot be read.
        """
        try:
            found: Any = json.loads(file.read_text(encoding="utf-8"))
            return cls(**_checked(found))
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise StoreError(
                f"{file} must be a file this user may read, but is not ({error.strerror}). "
                "Correct the rights, or XDG_DATA_HOME."
            ) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise StoreError(f"{file} must be as this software wrote it ({error}). Delete it.") from None

    def write(self, file: Path) -> None:
        """Replace the file at once, so that a reader sees the old or the new state whole."""
        part = file.with_name(f"{file.name}.part")
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.rename(file)


def _checked(found: Any) -> dict[str, Any]:
    """The fields of a state as a file has them. Raises ValueError for what this software never wrote."""
    if not isinstance(found, dict):
        raise ValueError("no fields")
    for name, value in found.items():
        kind = type(getattr(State(), name, None))
        fits = {
            "started": isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
            "refused": isinstance(value, dict) and all(isinstance(reason, str) for reason in value.values()),
            "port": type(value) is int and 0 <= value <= 65535,
            "pid": type(value) is int and 0 <= value <= LARGEST_PID,
        }
        if not fits.get(name, type(value) is kind):
            raise ValueError(f"{name[:40]} is {str(value)[:40]!r}")
    return found


class NoServerError(StoreError):
    """No source of a server works.

    Args:
        refused: each source with the reason.
    """

    def __init__(self, refused: Mapping[str, str]) -> None:
        self.refused = dict(refused)
        reasons = "".join(f"\n- {name}: {reason}" for name, reason in refused.items())
        super().__init__(f"a local Neo4j needs one of these, but none works:{reasons}")
