"""From a URL to a store: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``bolt://``, ``neo4j://`` and kin.

The engine a URL names is imported only then, so that an embedded store needs no Neo4j driver.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from graphstore.contract import GraphStore
from graphstore.errors import StoreInputError

SQLITE_PREFIX = "sqlite:///"
NEO4J_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
EXAMPLES = "sqlite:///explorer.db or neo4j://localhost:7687"


def without_password(url: str) -> str:
    """The URL as it may be shown: everything before the last ``@`` of its authority is left out."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def open_store(url: str, create: bool = True) -> GraphStore:
    """Open the store a URL names.

    Args:
        url: ``sqlite:///`` and a path, or a Neo4j server's URL. User and password of a server stand in the URL or in
            the environment as ``NEO4J_USER`` and ``NEO4J_PASSWORD``; a path behind the host names the database.
        create: whether a missing SQLite file is made.

    Returns:
        The opened store; close it after use.

    Raises:
        StoreInputError: the URL breaks a rule, or the file is missing and ``create`` is false.
        ForeignFileError: the file is no store, or is damaged.
        StoreVersionError: the store was written by a newer version.
        StoreError: the server does not answer.
    """
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        return _open_sqlite(url, create)
    if scheme in NEO4J_SCHEMES:
        return _open_neo4j(url)
    schemes = ", ".join(("sqlite", *NEO4J_SCHEMES))
    raise StoreInputError(
        f"store URL must begin with one of {schemes} and ://, but got {without_password(url)!r}. "
        f"Write for example {EXAMPLES}."
    )


def _open_sqlite(url: str, create: bool) -> GraphStore:
    path = url.removeprefix(SQLITE_PREFIX)
    if path == url or path in {"", "/"} or path.startswith(":"):
        raise StoreInputError(
            f"store URL must be sqlite:/// and the path of a file, but got {url!r}. "
            "Write sqlite:///explorer.db for a file here, sqlite:////home/me/explorer.db for one elsewhere."
        )
    from graphstore.embedded.store import SQLiteStore

    return SQLiteStore(Path(path), create=create)


def _open_neo4j(url: str) -> GraphStore:
    shown = without_password(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise StoreInputError(
            f"store URL must name a host, and a port from 0 to 65535 if any, but got {shown!r}. "
            "Write for example neo4j://localhost:7687."
        )
    database = parts.path.strip("/")
    if parts.query or parts.fragment or "/" in database:
        raise StoreInputError(
            f"store URL must end with the host, the port or the name of a database, but got {shown!r}. "
            "Write for example neo4j://localhost:7687/neo4j."
        )
    user = unquote(parts.username or "") or os.environ.get("NEO4J_USER", "")
    password = unquote(parts.password or "") or os.environ.get("NEO4J_PASSWORD", "")
    if password and not user:
        user = "neo4j"
    if user and not password:
        raise StoreInputError(
            f"store URL must come with a password for user {user!r}, but got none. "
            "Set NEO4J_PASSWORD, or NEO4J_USER and NEO4J_PASSWORD both."
        )
    try:
        from graphstore.neo4j.store import Neo4jStore
    except ModuleNotFoundError as error:
        if error.name != "neo4j":
            raise
        raise StoreInputError(
            f"store URL {shown!r} must have its driver installed, but there is none. Run: pip install neo4j"
        ) from None
    place = f"[{host}]" if ":" in host else host
    address = f"{parts.scheme}://{place}" + (f":{port}" if port is not None else "")
    return Neo4jStore(address, user=user, password=password, database=database)
