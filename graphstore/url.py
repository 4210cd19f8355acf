"""From a URL to a store: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``bolt://``, ``neo4j://`` and kin.

The single word ``neo4j`` names the server that this software manages on this machine; see ``graphstore.neo4j.managed``.
The engine a URL names is imported only then, so that an embedded store needs no Neo4j driver.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from graphstore.contract import GraphStore
from graphstore.errors import StoreError, StoreInputError

SQLITE_PREFIX = "sqlite:///"
MANAGED = "neo4j"
LOOPBACK = ("localhost", "127.0.0.1")
NEO4J_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*://")
_LOGIN = re.compile(r"[A-Za-z][\w+.-]*:.*@", re.DOTALL)
_URL = re.compile(r"[A-Za-z][\w+.-]*:/[^\s]*@")
EXAMPLES = "sqlite:///explorer.db or neo4j://localhost:7687, or neo4j alone for a server that is started for you"


@dataclass(frozen=True)
class Server:
    """A Neo4j database and how to log in to it.

    Attributes:
        url: scheme, host and port.
        user, password: empty for a server without authentication.
        database: empty for the server's default.
        name: what the store's URL is; it can be shown, and it opens the same store again.
    """

    url: str
    user: str
    password: str = field(repr=False)
    database: str
    name: str


def quiet(_: str) -> None:
    """Tell nobody."""


def without_password(url: str) -> str:
    """The URL as it may be shown: what stands before its last ``@`` is left out but for the scheme.

    A file's path stays whole. A password may hold any sign, so that only the last ``@`` ends it for sure.
    """
    if "@" not in url or url.startswith(SQLITE_PREFIX):
        return url
    scheme = _SCHEME.match(url)
    return (scheme[0] if scheme else "") + url.rpartition("@")[2]


def scrubbed(text: str, words: Iterable[str] = ()) -> str:
    """A text as it may be shown: without the passwords of the URLs in it.

    Args:
        text: any text, such as an error's.
        words: what may stand in it and hold a password, such as the words of a command line; spaces are part of it.
    """
    for word in words:
        url = word.partition("=")[2] if word.startswith("--") else word
        if _LOGIN.match(url) and not url.startswith(SQLITE_PREFIX):
            for form in {url, " ".join(url.split()), repr(url)[1:-1]}:
                text = text.replace(form, without_password(url))
    return _URL.sub(lambda found: without_password(found[0]), text)


def open_store(url: str, create: bool = True, say: Callable[[str], None] = quiet) -> GraphStore:
    """Open the store a URL names.

    Args:
        url: ``sqlite:///`` and a path, or a Neo4j server's URL, or ``neo4j`` for the managed server, which is started
            if it does not run. User and password of a server stand in the URL or in the environment as ``NEO4J_USER``
            and ``NEO4J_PASSWORD``; a path behind the host names the database. ``NEO4J_CA_FILE`` names a PEM file of
            the authorities to trust where the scheme ends with ``+s``.
        create: whether a missing SQLite file is made.
        say: told, one line at a time, how the managed server starts.

    Returns:
        The opened store; close it after use.

    Raises:
        StoreInputError: the URL breaks a rule, or the file is missing and ``create`` is false.
        ForeignFileError: the file is no store, or is damaged.
        StoreVersionError: the store is of a newer version, or of an older one and to be migrated first.
        StoreError: the server does not answer.
    """
    place = locate(url, say)
    if isinstance(place, Path):
        from graphstore.embedded.store import SQLiteStore

        return SQLiteStore(place, create=create)
    with needing_driver(place.name):
        from graphstore.neo4j.store import Neo4jStore
    store = Neo4jStore(place.url, user=place.user, password=place.password, database=place.database)
    store.url = place.name
    return store


def locate(url: str, say: Callable[[str], None] = quiet) -> Path | Server:
    """The file or the server that a URL names, as ``open_store`` takes it; the managed server is started.

    Raises:
        StoreInputError: the URL breaks a rule.
        StoreError: the managed server cannot be started.
    """
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        return sqlite_path(url)
    if url == MANAGED or scheme in NEO4J_SCHEMES:
        return find_server(url, say)
    schemes = ", ".join(("sqlite", *NEO4J_SCHEMES))
    raise StoreInputError(
        f"store URL must begin with one of {schemes} and ://, but got {without_password(url)!r}. "
        f"Write for example {EXAMPLES}."
    )


@contextlib.contextmanager
def needing_driver(name: str) -> Iterator[None]:
    """Turn the import error of a missing Neo4j driver into StoreInputError."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "neo4j":
            raise
        raise StoreInputError(
            f"store URL {name!r} must have its driver installed, but there is none. Run: pip install neo4j"
        ) from None


def sqlite_path(url: str) -> Path:
    """The file that a URL of an embedded store names, whether it is there or not.

    Raises:
        StoreInputError: it names none, or none that there could be.
    """
    path = url.removeprefix(SQLITE_PREFIX)
    if path == url or not Path(path).name or path.startswith(":"):
        raise StoreInputError(
            f"store URL must be sqlite:/// and the path of a file, but got {without_password(url)!r}. "
            "Write sqlite:///explorer.db for a file here, sqlite:////home/me/explorer.db for one elsewhere."
        )
    check_name(Path(path), "store URL")
    return Path(path)


def check_name(path: Path, what: str) -> None:
    """Raise StoreInputError for a path that the system cannot have.

    Args:
        path: of a file, whether it is there or not.
        what: it is, for the error.
    """
    try:
        # SQLite's own files beside it have longer names.
        path.with_name(f"{path.name}-journal").stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreInputError(
            f"{what} must name a file there can be, but got {str(path)[:100]!r} ({reason}). Name another."
        ) from None


def find_server(url: str, say: Callable[[str], None] = quiet) -> Server:
    """The server that a URL and the environment name; the managed one is started if it does not run.

    Args:
        url: as ``open_store`` takes it, but of a server.
        say: told how the managed server starts.

    Raises:
        StoreInputError: the URL breaks a rule, or a password is missing.
        StoreError: the managed server cannot be started.
    """
    if url == MANAGED:
        from graphstore.neo4j.managed import ManagedNeo4j

        login = ManagedNeo4j().start(say)
        return Server(login.url, login.user, login.password, "", MANAGED)
    shown = without_password(url)
    if "@" in "".join(re.split("([/?#])", url.partition("://")[2], maxsplit=1)[1:]):
        raise StoreInputError(
            f"store URL must have no @ behind its host, but got {shown!r} with one. If it belongs to the password, "
            "percent-encode that: %2F for /, %3F for ?, %23 for #, %40 for @."
        )
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
    place = f"[{host}]" if ":" in host else host
    address = f"{parts.scheme}://{place}" + (f":{port}" if port is not None else "")
    name = address + (f"/{database}" if database else "")
    if host in LOOPBACK and database in ("", "neo4j"):
        # The managed server by its address is the same store as by its name, so that its work folder is the same too.
        from graphstore.neo4j.managed import FIRST_PORT, ManagedNeo4j

        login_there = None
        # Whatever is wrong with the managed server's own files, this may be another one.
        with contextlib.suppress(StoreError, OSError):
            login_there = ManagedNeo4j().login_at(port or FIRST_PORT)
        if login_there is not None:
            name = MANAGED
            if not password:
                user, password = user or login_there.user, login_there.password
    if user and not password:
        raise StoreInputError(
            f"store URL must come with a password for user {user!r}, but got none. "
            "Set NEO4J_PASSWORD, or NEO4J_USER and NEO4J_PASSWORD both."
        )
    return Server(address, user, password, database, name)
