"""Every error of the driver and the server is one line with a remedy, and the remedy works."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from neo4j.exceptions import ClientError, Neo4jError

from graphstore import open_store
from graphstore.errors import StoreError, StoreInputError
from graphstore.neo4j.failures import LONGEST, failure
from graphstore.testing import samples
from graphstore.testing.proxy import Proxy, Way


def refused(url: str) -> StoreError:
    """Return the error of opening a store, which must be one line without the driver's own form."""
    with pytest.raises(StoreError) as caught:
        open_store(url)
    text = str(caught.value)
    assert "\n" not in text
    assert "neo4j_code" not in text
    assert text.endswith(".")
    return caught.value


class Moved(Proxy):
    """A server that tells its clients an address at which nobody listens."""

    def _take(self, way: Way, data: bytes) -> tuple[bytes, bool]:
        if way is Way.ANSWERS:
            data = data.replace(b"127.0.0.1:%d" % self.port, b"127.0.0.9:%d" % self.port)
        return super()._take(way, data)


@pytest.mark.neo4j
def test_a_server_with_another_advertised_address_is_reached_by_bolt(server, neo4j_url: str):
    with Moved(urlsplit(neo4j_url).port or 7687) as moved:
        url = f"neo4j://127.0.0.1:{moved.port}"
        text = str(refused(url))
        assert "tells its clients another address" in text
        remedy = "Write bolt:// instead of neo4j://"
        assert remedy in text
        with open_store(url.replace("neo4j://", "bolt://")) as store:
            store.put_space(samples.space())
            assert len(store.spaces()) == 1


@pytest.mark.neo4j
@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_an_unknown_database_is_an_input_error(server, neo4j_url: str, scheme: str):
    address = neo4j_url.partition("://")[2]
    error = refused(f"{scheme}://{address}/nosuch")
    assert isinstance(error, StoreInputError)
    assert "nosuch" in str(error)
    assert "leave it out" in str(error)
    open_store(f"{scheme}://{address}").close()


@pytest.mark.neo4j
@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s", "bolt+ssc", "neo4j+ssc"])
def test_tls_on_a_plain_port(server, neo4j_url: str, scheme: str):
    address, plain = neo4j_url.partition("://")[2], scheme.partition("+")[0]
    text = str(refused(f"{scheme}://{address}"))
    assert "does not speak TLS" in text
    assert f"Write {plain}:// instead of {scheme}://" in text
    open_store(f"{plain}://{address}").close()


def test_the_database_of_the_server_itself_is_no_store():
    error = refused("bolt://127.0.0.1:1/system")
    assert isinstance(error, StoreInputError)
    assert "Leave the name out" in str(error)


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """Port of a program that is no Neo4j: it answers everybody with these bytes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(64)
                    client.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-badger\r\n"])
@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_a_port_of_another_program(reply: bytes, scheme: str):
    with answering(reply) as port:
        text = str(refused(f"{scheme}://127.0.0.1:{port}"))
    assert f"127.0.0.1:{port}" in text
    assert "Bolt port" in text


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_a_port_without_a_program(scheme: str):
    text = str(refused(f"{scheme}://127.0.0.1:1"))
    assert "refused" in text
    assert "Check that it runs" in text


@pytest.mark.parametrize("scheme", ["bolt", "neo4j", "neo4j+s"])
def test_a_host_that_nobody_knows(scheme: str):
    assert "Correct the name" in str(refused(f"{scheme}://no-such-host.invalid:7687"))


def error_of(code: str, message: str = "The reason.\nIn two lines.") -> Neo4jError:
    error = Neo4jError._hydrate_neo4j(code=code, message=message)  # the only way to make one
    assert error.code == code
    return error


@pytest.mark.parametrize(
    ("code", "words"),
    {
        "Neo.ClientError.Security.AuthenticationRateLimit": "wait a moment",
        "Neo.ClientError.Security.Unauthorized": "Check NEO4J_USER and NEO4J_PASSWORD",
        "Neo.ClientError.Security.TokenExpired": "Check NEO4J_USER and NEO4J_PASSWORD",
        "Neo.ClientError.Security.CredentialsExpired": "ALTER CURRENT USER SET PASSWORD",
        "Neo.ClientError.Security.Forbidden": "Log in as one who may write",
        "Neo.ClientError.Database.DatabaseUnavailable": "Start it, or wait",
        "Neo.TransientError.General.DatabaseUnavailable": "Wait a moment",
        "Neo.ClientError.Cluster.NotALeader": "Write neo4j:// instead of bolt://",
        "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase": "Write neo4j:// instead of bolt://",
        "Neo.TransientError.General.MemoryPoolOutOfMemoryError": "db.memory.transaction.max",
        "Neo.DatabaseError.General.UnknownError": "Check its log",
        "Neo.ClientError.Statement.SemanticError": "The reason. In two lines",
    }.items(),
)
def test_an_error_of_the_server_is_one_line_with_a_remedy(code: str, words: str):
    text = str(failure("bolt://host:7687", error_of(code)))
    assert text.startswith("the server 'bolt://host:7687' ")
    assert words in text
    assert "\n" not in text


def test_a_long_message_is_cut():
    error = error_of("Neo.ClientError.Statement.SyntaxError", "x" * 10 * LONGEST)
    assert isinstance(error, ClientError)
    assert len(str(failure("bolt://host", error))) < LONGEST + 200


@pytest.mark.neo4j
def test_commands_say_one_line(server, neo4j_url: str, archex):
    address = neo4j_url.partition("://")[2]
    for url, code in ((f"bolt://{address}/nosuch", 2), (f"neo4j+s://{address}", 1), ("neo4j://127.0.0.1:1", 1)):
        for command in (("store", "check"), ("studies",), ("find",)):
            found, printed, told = archex(*command, "--store", url)
            assert (found, printed) == (code, "")
            assert told.count("\n") == 1
            assert told.startswith("error: ")
