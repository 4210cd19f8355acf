"""Check whether a store is consistent, and migrate it to the newest layout.

A check only reads, and reports all problems instead of stopping at the first one. A migration converts a store from one
version of the layout to the next until it has the newest; each engine has a list of its migrations.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from graphstore.contract import SCHEMA_VERSION
from graphstore.reports import CheckReport, MigrationReport
from graphstore.url import locate, needing_driver, quiet


def check(url: str, say: Callable[[str], None] = quiet) -> CheckReport:
    """Check a store of any version, damaged or not, without changing it.

    Args:
        url: as for ``open_store``.
        say: receives a line for each step in which the managed server starts.

    Raises:
        StoreInputError: the URL breaks a rule, or the file is missing.
        StoreError: the server does not answer, or the file cannot be read.
    """
    place = locate(url, say)
    risks: list[str] = []
    if isinstance(place, Path):
        from graphstore.embedded.maintenance import check_file
        from graphstore.embedded.place import network_risks

        risks = network_risks(place)
        shown, engine, found = f"sqlite:///{place.absolute()}", "sqlite", check_file(place)
    else:
        with needing_driver(place.name):
            from graphstore.neo4j.maintenance import check_server
        shown, engine, found = place.name, "neo4j", check_server(place)
    problems = found.problems
    if 0 < found.version < SCHEMA_VERSION:
        problems = (f"the layout's version is {found.version}, the newest is {SCHEMA_VERSION}: migrate it", *problems)
    return CheckReport(shown, engine, found.version, SCHEMA_VERSION, found.counts, problems, tuple(risks))


def migrate(url: str, say: Callable[[str], None]) -> MigrationReport:
    """Migrate a store to the newest version of the layout, version by version.

    A migration can be interrupted and repeated, and several processes may run it at the same time. An embedded store of
    version N is first copied to ``NAME.vN.bak`` in the same folder; others may continue to use it.

    Args:
        url: as for ``open_store``.
        say: receives a line for each step.

    Raises:
        StoreInputError: the URL breaks a rule, or the store does not exist.
        ForeignFileError: the file is not a store, or is damaged; it is not changed.
        StoreVersionError: the store is newer than this software; it is not changed.
        StoreError: the server does not answer, or the disk is full.
    """
    place = locate(url, say)
    if isinstance(place, Path):
        from graphstore.embedded.maintenance import migrate_file

        return migrate_file(place, say)
    with needing_driver(place.name):
        from graphstore.neo4j.maintenance import migrate_server
    return migrate_server(place, say)
