"""Fixtures of the store's tests: a Neo4j server for all of them, started only when one asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("graphstore.testing")


@pytest.fixture(scope="session")
def local_server() -> None:
    """Skips, saying why, where this machine cannot start a server; in CI that is a failure."""
    lacking = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if lacking:
        reason = f"needs a Neo4j server: set NEO4J_URI, or install {' and '.join(lacking)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def neo4j_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server whose contents may be deleted: the one NEO4J_URI names, or one started here."""
    if os.environ.get("NEO4J_URI"):
        yield os.environ["NEO4J_URI"]
        return
    request.getfixturevalue("local_server")
    from graphstore.neo4j.server import LocalNeo4j

    server = LocalNeo4j(tmp_path_factory.mktemp("neo4j"), authenticate=False, heap="512m")
    server.start()
    yield server.url
    server.stop()
