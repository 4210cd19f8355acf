"""Results of checks and migrations, which both engines and ``graphstore.maintenance`` use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MISLED = "architectures whose summary does not match their layers"
"""A problem that each engine finds in its own way."""

UNFINISHED = "a copy into this store is under way or was interrupted: run the same copy again to finish it"
"""A problem of both engines."""

EXAMPLES = 3
"""Maximum number of records that a problem names."""


@dataclass(frozen=True)
class CheckReport:
    """Result of a check.

    Attributes:
        url: of the store, without a password.
        engine: ``sqlite`` or ``neo4j``.
        version: version of the layout; 0 if it could not be read.
        newest: the version that this software writes.
        counts: number of records by kind.
        problems: one sentence each; empty if the store is consistent and has the newest version.
        risks: sentences about what may lose data here, such as a network drive.
    """

    url: str
    engine: str
    version: int
    newest: int
    counts: Mapping[str, int]
    problems: tuple[str, ...]
    risks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the check found no problem."""
        return not self.problems


@dataclass(frozen=True)
class MigrationReport:
    """Result of a migration.

    Attributes:
        url: of the store, without a password.
        before, after: version of the layout before and after the migration.
        backup: path of the copy of an embedded store before the change; empty if there is none.
    """

    url: str
    before: int
    after: int
    backup: str = ""


@dataclass(frozen=True)
class Findings:
    """Result of an engine's check; see CheckReport."""

    version: int
    counts: Mapping[str, int]
    problems: tuple[str, ...]


def with_examples(problem: str, culprits: Sequence[object]) -> str:
    """Return a problem with the number of records that have it and the names of the first ones."""
    names = ", ".join(str(culprit) for culprit in culprits[:EXAMPLES])
    return f"{problem}: {len(culprits)} ({names}{', …' if len(culprits) > EXAMPLES else ''})"
