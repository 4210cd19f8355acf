"""Log-ins of Neo4j servers, and condition and stored state of the managed one."""

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


class ServerState(StrEnum):
    """State of the server.

    ``crashed``: it ended without being stopped. ``not answering``: its process lives and has answered before.
    """

    RUNNING = "running"
    STARTING = "starting"
    SILENT = "not answering"
    STOPPED = "stopped"
    CRASHED = "crashed"
    ELSEWHERE = "on another machine"


@dataclass(frozen=True)
class Login:
    """URL, user and password of a server."""

    url: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Server:
    """A Neo4j database and its log-in.

    Attributes:
        url: scheme, host and port.
        user, password: empty for a server without authentication.
        database: empty for the server's default.
        name: URL of the store without a password; it opens the same store again.
    """

    url: str
    user: str
    password: str = field(repr=False)
    database: str
    name: str


@dataclass(frozen=True)
class Status:
    """State of the managed server.

    Attributes:
        condition: the state of the server.
        url: its URL; empty before its first start.
        source: source of its distribution; empty if none works.
        version: version of Neo4j, if known.
        pid: its process; 0 if it does not run.
        refused: sources that were tried before and do not work, with the reason.
        home: folder of its data, logs and password.
        log: its log file.
    """

    condition: ServerState
    url: str
    source: str
    version: str
    pid: int
    refused: Mapping[str, str]
    home: str
    log: str


@dataclass(frozen=True)
class State:
    """State of a managed server that is stored between commands.

    Attributes:
        port: its port; 0 before its first start.
        source, version: see Status.
        up: whether it was started and not stopped.
        host: name of the machine it runs on.
        pid, started: its process and the start time, in seconds after the machine's boot; 0 in a container.
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
        """Read the state from a file; without one, return that of a server that never ran.

        Raises:
            StoreError: the file is damaged, or cannot be read.
        """
        try:
            found: Any = json.loads(file.read_text(encoding="utf-8"))
            return cls(**_checked(found))
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise StoreError(
                f"{file} must be a file this user may read, but is not ({error.strerror}). "
                "Correct the permissions, or XDG_DATA_HOME."
            ) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise StoreError(f"{file} must be as this software wrote it ({error}). Delete it.") from None

    def write(self, file: Path) -> None:
        """Replace the file atomically."""
        part = file.with_name(f"{file.name}.part")
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.rename(file)


def _checked(found: Any) -> dict[str, Any]:
    """Return the fields of a state from the contents of a file. Raises ValueError for invalid contents."""
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
        refused: the reason for each source.
    """

    def __init__(self, refused: Mapping[str, str]) -> None:
        self.refused = dict(refused)
        reasons = "".join(f"\n- {name}: {reason}" for name, reason in refused.items())
        super().__init__(f"a local Neo4j needs one of these, but none works:{reasons}")
