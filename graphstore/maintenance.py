"""Looking after a store: is it sound (``check``), and is it of the newest layout (``migrate``).

A check reads only, and reports what it finds instead of stopping at the first thing. A migration leads a store from one
version of the layout to the next until it is the newest; the migrations are listed with each engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphstore.contract import SCHEMA_VERSION
from graphstore.url import locate, needing_driver, quiet

MISLED = "architectures whose summary is not what their layers make it"
"""A problem that each engine looks for in its own way."""

EXAMPLES = 3
"""How many culprits a problem names."""


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        url: of the store, without a password.
        engine: ``sqlite`` or ``neo4j``.
        version: of the store's layout; 0 where none could be read.
        newest: the version this software writes.
        counts: number of records by kind.
        problems: one sentence each; none if the store is sound and of the newest version.
    """

    url: str
    engine: str
    version: int
    newest: int
    counts: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


@dataclass(frozen=True)
class MigrationReport:
    """What a migration did.

    Attributes:
        url: of the store, without a password.
        before, after: version of the layout when the migration had the store to itself, and now.
        backup: the copy that was made of an embedded store before it was changed; empty if none was made.
    """

    url: str
    before: int
    after: int
    backup: str = ""


@dataclass(frozen=True)
class Findings:
    """What an engine's check found; see CheckReport."""

    version: int
    counts: Mapping[str, int]
    problems: tuple[str, ...]


def check(url: str, say: Callable[[str], None] = quiet) -> CheckReport:
    """Check a store of any version, damaged or not, and change nothing.

    Args:
        url: as ``open_store`` takes it.
        say: told, one line each, how the managed server starts.

    Raises:
        StoreInputError: the URL breaks a rule, or the file is missing.
        StoreError: the server does not answer, or the file cannot be read.
    """
    place = locate(url, say)
    if isinstance(place, Path):
        from graphstore.embedded.maintenance import check_file

        shown, engine, found = f"sqlite:///{place.absolute()}", "sqlite", check_file(place)
    else:
        with needing_driver(place.name):
            from graphstore.neo4j.maintenance import check_server
        shown, engine, found = place.name, "neo4j", check_server(place)
    problems = found.problems
    if 0 < found.version < SCHEMA_VERSION:
        remedy = f"bring it up with `archex store migrate --store {shown}`"
        problems = (f"the layout's version is {found.version}, the newest is {SCHEMA_VERSION}: {remedy}", *problems)
    return CheckReport(shown, engine, found.version, SCHEMA_VERSION, found.counts, problems)


def migrate(url: str, say: Callable[[str], None]) -> MigrationReport:
    """Bring a store to the newest version of the layout, version by version.

    It may be interrupted and run again, and run by several processes at once. An embedded store is copied to
    ``NAME.v1.bak`` beside it first, by the version it has; others may go on using it meanwhile.

    Args:
        url: as ``open_store`` takes it.
        say: told, one line each, what is being done.

    Raises:
        StoreInputError: the URL breaks a rule, or there is no store.
        ForeignFileError: the file is no store, or is damaged; it is left as it is.
        StoreVersionError: the store is newer than this software; it is left as it is.
        StoreError: the server does not answer, or the disk is full.
    """
    place = locate(url, say)
    if isinstance(place, Path):
        from graphstore.embedded.maintenance import migrate_file

        return migrate_file(place, say)
    with needing_driver(place.name):
        from graphstore.neo4j.maintenance import migrate_server
    return migrate_server(place, say)


def told(problem: str, culprits: Sequence[object]) -> str:
    """A problem with the number of its culprits and the first of them by name."""
    names = ", ".join(str(culprit) for culprit in culprits[:EXAMPLES])
    return f"{problem}: {len(culprits)} ({names}{', …' if len(culprits) > EXAMPLES else ''})"
