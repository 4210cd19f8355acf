"""A real server with a password, and with a certificate that an authority of our own signed.

Both need a server of their own; one start serves both.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import neo4j
import pytest
from neo4j.exceptions import AuthError

from graphstore import open_store
from graphstore.errors import StoreError, StoreInputError
from graphstore.neo4j.server import LocalNeo4j
from graphstore.neo4j.tls import VARIABLE, trust
from graphstore.testing import samples
from graphstore.url import find_server


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority (``ca.pem``) and the certificate that it gave to 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("certificates")
    new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    openssl(folder, *new, "/CN=An authority of our own", "-x509", "-days", "9", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(folder, *new, "/CN=127.0.0.1", "-keyout", "private.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    sign = ["x509", "-req", "-days", "9", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    openssl(folder, *sign, "-extfile", "names", "-out", "public.crt")
    return folder


@pytest.fixture(scope="module")
def place(local_server: None, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNeo4j]:
    """A server with a password that speaks TLS."""
    settings = (
        f"server.bolt.tls_level=OPTIONAL\ndbms.ssl.policy.bolt.enabled=true\n"
        f"dbms.ssl.policy.bolt.base_directory={certificates}\ndbms.ssl.policy.bolt.private_key=private.key\n"
        "dbms.ssl.policy.bolt.public_certificate=public.crt\ndbms.ssl.policy.bolt.client_auth=NONE\n"
    )
    server = LocalNeo4j(tmp_path_factory.mktemp("tls"), heap="512m")
    told: list[str] = []
    server.start(told.append, settings=settings)
    assert told[0] == "Starting Neo4j"
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEO4J_USER", "NEO4J_PASSWORD", VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.neo4j
@pytest.mark.slow
def test_who_is_trusted(place: LocalNeo4j, certificates: Path, tmp_path: Path, monkeypatch, caplog, capfd):
    caplog.set_level("DEBUG")
    address = place.url.partition("://")[2]
    shown = []
    # The log-in from the environment; any certificate.
    monkeypatch.setenv("NEO4J_USER", "neo4j")
    monkeypatch.setenv("NEO4J_PASSWORD", place.password)
    for scheme in ("bolt+ssc", "neo4j+ssc"):
        with open_store(f"{scheme}://{address}") as store:
            store.put_space(samples.space())
            shown += [store.url, repr(store), str(vars(store))]
            assert store.url == f"{scheme}://{address}"
    monkeypatch.delenv("NEO4J_USER")
    monkeypatch.delenv("NEO4J_PASSWORD")
    # The log-in from the URL; the machine's authorities do not know ours.
    for scheme in ("bolt+s", "neo4j+s"):
        url = f"{scheme}://neo4j:{place.password}@{address}"
        with pytest.raises(StoreError, match=f"certificate that is not trusted.*{VARIABLE}") as caught:
            open_store(url)
        shown.append(f"{caught.value} {caught.value!r}")
        with monkeypatch.context() as named:
            named.setenv(VARIABLE, str(certificates / "ca.pem"))
            with open_store(url) as store:
                assert store.space("nano") == samples.space()
                assert store.url == f"{scheme}://{address}"
                shown += [store.url, repr(store), str(vars(store))]
            # It is the certificate's name that counts, too.
            with pytest.raises(StoreError, match="not trusted") as caught:
                open_store(url.replace("127.0.0.1", "localhost"))
            shown.append(str(caught.value))
            # Another authority than the one that signed it does not do.
            words = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Other", "-x509", "-keyout", "k", "-out", "c"]
            openssl(tmp_path, *words)
            named.setenv(VARIABLE, str(tmp_path / "c"))
            with pytest.raises(StoreError, match="not trusted"):
                open_store(url)
    with pytest.raises(StoreError, match="refused the log-in") as caught:
        open_store(f"bolt+ssc://neo4j:no-{place.password}@{address}")
    shown += [str(caught.value), repr(find_server(url)), caplog.text, *capfd.readouterr()]
    assert all(place.password not in text for text in shown)


@pytest.mark.neo4j
@pytest.mark.slow
def test_a_wrong_password_is_refused_and_shown_nowhere(place: LocalNeo4j, monkeypatch):
    assert (place.home / "password").stat().st_mode & 0o777 == 0o600
    # A log-in that succeeds comes first: it resets the count of wrong ones, of which the server takes three.
    monkeypatch.setenv("NEO4J_PASSWORD", place.password)
    with open_store(place.url) as store:
        assert place.password not in store.url
    with pytest.raises(AuthError), neo4j.GraphDatabase.driver(place.url, auth=("neo4j", "wrong")) as driver:
        driver.verify_connectivity()
    monkeypatch.setenv("NEO4J_PASSWORD", "wrong-password")
    with pytest.raises(StoreError, match="refused the log-in") as caught:
        open_store(place.url)
    assert "wrong-password" not in str(caught.value)
    with open_store(place.url.replace("//", f"//neo4j:{place.password}@")) as store:
        assert place.password not in store.url


def test_authorities_must_be_in_a_file(tmp_path: Path, monkeypatch):
    (tmp_path / "empty.pem").write_text("")
    for file in (tmp_path / "none.pem", tmp_path / "empty.pem", tmp_path):
        monkeypatch.setenv(VARIABLE, str(file))
        with pytest.raises(StoreInputError, match=VARIABLE):
            trust("neo4j+s://host")
        for url in ("bolt://host", "neo4j+ssc://host:7687"):  # These trust nobody, or anybody.
            assert trust(url) == {"uri": url}


@pytest.mark.neo4j
@pytest.mark.slow
def test_too_many_wrong_passwords_in_a_row(place: LocalNeo4j, monkeypatch):
    """The server takes no log-in for a while, and the error says so in one line. The last test: it locks the user."""
    for attempt in range(4):
        monkeypatch.setenv("NEO4J_PASSWORD", f"wrong-{attempt}")
        with pytest.raises(StoreError) as caught:
            open_store(place.url)
    text = str(caught.value)
    assert "takes no log-in for some seconds" in text
    assert "wait a moment" in text
    assert "\n" not in text
    assert "wrong-" not in text
