"""The database that the parts of the embedded store share, and row keys by name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from graphstore.checks import check_known_architectures, missing
from graphstore.embedded.database import Database
from graphstore.errors import Code


class Part:
    """Base class of the parts; the store sets the database."""

    _database: Database


def space_key(connection: sqlite3.Connection, name: str) -> int:
    """Return the row key of a space. Raises NotFoundError."""
    row = connection.execute("SELECT key FROM space WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise missing("space", name, code=Code.UNKNOWN_SPACE)
    key: int = row[0]
    return key


def architecture_keys(connection: sqlite3.Connection, ids: Collection[str]) -> dict[str, int]:
    """Return the row keys of the known architectures among ``ids``."""
    return dict(
        connection.execute(
            "SELECT id, key FROM architecture WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )
    )


def known_architecture_keys(connection: sqlite3.Connection, ids: Collection[str]) -> dict[str, int]:
    """Return the row keys of all ``ids``. Raises NotFoundError if one is unknown."""
    keys = architecture_keys(connection, ids)
    check_known_architectures(ids, keys)
    return keys


def member_keys(connection: sqlite3.Connection, space: int) -> dict[str, int]:
    """Return the row keys of a space's architectures, in its order."""
    return dict(
        connection.execute(
            "SELECT a.id, a.key FROM holds h JOIN architecture a ON a.key = h.architecture "
            "WHERE h.space = ? ORDER BY h.position",
            (space,),
        )
    )
