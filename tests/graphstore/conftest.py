"""Fixtures that the store's tests share."""

import pytest


@pytest.fixture(params=["embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def either_url(request: pytest.FixtureRequest, tmp_path) -> str:
    """URL of an empty store of each engine in turn."""
    if request.param == "embedded":
        return f"sqlite:///{tmp_path / 'store.db'}"
    request.getfixturevalue("server")
    return request.getfixturevalue("neo4j_url")
