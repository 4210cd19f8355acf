"""Open stores by URL: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``bolt://``, ``neo4j://`` and similar.

The word ``neo4j`` alone names the server that this software manages on this machine; see ``graphstore.neo4j.managed``.
An engine is imported only when it is needed, so an embedded store needs no Neo4j driver.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from graphstore.contract import GraphStore
from graphstore.errors import StoreError, StoreInputError
from graphstore.neo4j.status import Server, ServerState

SQLITE_PREFIX = "sqlite:///"
MANAGED = "neo4j"
LOOPBACK = ("localhost", "127.0.0.1")
NEO4J_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*://")
_LOGIN = re.compile(r"[A-Za-z][\w+.-]*:.*@", re.DOTALL)
_URL = re.compile(r"[A-Za-z][\w+.-]*:/[^\s]*@")
EXAMPLES = "sqlite:///store.db or neo4j://localhost:7687, or neo4j alone for a server that is started for you"


def quiet(_: str) -> None:
    """Discard a message."""


def without_password(url: str) -> str:
    """Return the URL without everything between its scheme and its last ``@``.

    The path of a file stays unchanged. A password may contain any character, so it ends only at the last ``@``.
    """
    if "@" not in url or url.startswith(SQLITE_PREFIX):
        return url
    scheme = _SCHEME.match(url)
    return (scheme[0] if scheme else "") + url.rpartition("@")[2]


def scrubbed(text: str, words: Iterable[str] = ()) -> str:
    """Return a text without the passwords of the URLs in it.

    Args:
        text: any text, such as an error message.
        words: words that may occur in the text and contain a password, such as command-line arguments; they may
            contain spaces.
    """
    for word in words:
        url = word.partition("=")[2] if word.startswith("--") else word
        if _LOGIN.match(url) and not url.startswith(SQLITE_PREFIX):
            for form in {url, " ".join(url.split()), repr(url)[1:-1]}:
                text = text.replace(form, without_password(url))
    return _URL.sub(lambda found: without_password(found[0]), text)


def open_store(url: str, create: bool = True, say: Callable[[str], None] = quiet) -> GraphStore:
    """Open the store at a URL.

    Args:
        url: ``sqlite:///`` and a path, or the URL of a Neo4j server, or ``neo4j`` for the managed server, which is
            started if it does not run. The URL, or ``NEO4J_USER`` and ``NEO4J_PASSWORD`` in the environment, contain
            the user and the password; a path behind the host names the database. ``NEO4J_CA_FILE`` names a PEM file
            of trusted authorities for schemes that end with ``+s``.
        create: whether a missing SQLite file is created.
        say: receives a line for each step in which the managed server starts, and for each risk of the store.

    Returns:
        The opened store; close it after use.

    Raises:
        StoreInputError: the URL breaks a rule, or the file is missing and ``create`` is false.
        ForeignFileError: the file is not a store, or is damaged.
        StoreVersionError: the store has a newer version, or an older one and must be migrated first.
        StoreError: the server does not answer.
    """
    place = locate(url, say)
    if isinstance(place, Path):
        from graphstore.embedded.store import SQLiteStore

        opened = SQLiteStore(place, create=create)
        for risk in opened.risks:
            say(f"warning: {risk}")
        return opened
    with needing_driver(place.name):
        from graphstore.neo4j.store import Neo4jStore
    restart = (lambda: restart_managed(place, say)) if place.name == MANAGED else None
    store = Neo4jStore(place.url, place.user, place.password, place.database, restart=restart)
    store.url = place.name
    if place.name == MANAGED:
        store.login = {}  # Its name suffices: every process of this user finds the password in a file.
    return store


def restart_managed(place: Server, say: Callable[[str], None]) -> None:
    """Start the managed server again if it has crashed.

    Raises:
        StoreError: the user stopped it, or it cannot be started, or only at another address.
    """
    from graphstore.neo4j.managed import ManagedNeo4j

    server = ManagedNeo4j()
    if server.status().condition is ServerState.STOPPED:
        raise StoreError("the managed Neo4j was stopped. Start it, or open the store again.")
    login = server.start(say)
    if login.url != place.url:
        raise StoreError(
            f"the managed Neo4j had ended and now listens at {login.url!r} instead of {place.url!r}. Open the store "
            "again."
        )


def locate(url: str, say: Callable[[str], None] = quiet) -> Path | Server:
    """Return the file or the server at a URL; the managed server is started if it does not run.

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
    """Return the file of an embedded store's URL; it may be missing.

    Raises:
        StoreInputError: the URL has no path, or an impossible one.
    """
    path = url.removeprefix(SQLITE_PREFIX)
    if path == url or not Path(path).name or path.startswith(":"):
        raise StoreInputError(
            f"store URL must be sqlite:/// and the path of a file, but got {without_password(url)!r}. "
            "Write sqlite:///store.db for a file here, sqlite:////home/me/store.db for one elsewhere."
        )
    check_name(Path(path), "store URL")
    return Path(path)


def check_name(path: Path, what: str) -> None:
    """Raise StoreInputError for an impossible path.

    Args:
        path: path of a file, which may be missing.
        what: its name in the error message.
    """
    try:
        # SQLite creates files with longer names in the same folder.
        path.with_name(f"{path.name}-journal").stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreInputError(
            f"{what} must be a possible path, but got {str(path)[:100]!r} ({reason}). Name another."
        ) from None


def find_server(url: str, say: Callable[[str], None] = quiet) -> Server:
    """Return the server at a URL, with the log-in from the URL or the environment; the managed one is started.

    Args:
        url: as for ``open_store``, of a server.
        say: receives a line for each step in which the managed server starts.

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
    if database == "system":
        raise StoreInputError(
            f"store URL must name a database for data, but got {shown!r}, and system has the server's own. Leave the "
            "name out for the default database."
        )
    user = unquote(parts.username or "") or os.environ.get("NEO4J_USER", "")
    password = unquote(parts.password or "") or os.environ.get("NEO4J_PASSWORD", "")
    if password and not user:
        user = "neo4j"
    place = f"[{host}]" if ":" in host else host
    address = f"{parts.scheme}://{place}" + (f":{port}" if port is not None else "")
    name = address + (f"/{database}" if database else "")
    if host in LOOPBACK and database in ("", "neo4j"):
        # The address of the managed server is the same store as its name, so both use the same work folder.
        from graphstore.neo4j.managed import FIRST_PORT, ManagedNeo4j

        login_there = None
        # Problems with the files of the managed server do not matter, because this may be another server.
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
