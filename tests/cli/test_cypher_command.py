"""``archex cypher``: answers on standard output, one clear line and exit code 2 for what is wrong."""

from __future__ import annotations

import json

import pytest

from graphstore import open_store
from graphstore.neo4j.saved_queries import saved_queries
from graphstore.testing import samples


@pytest.fixture
def server_url(server, neo4j_url) -> str:
    with open_store(neo4j_url) as store:
        store.put_space(samples.space())
        records = samples.architectures(3)
        store.add_architectures("nano", records)
        store.add_scores([samples.score(record.id, value=0.5 + i / 10) for i, record in enumerate(records)])
    return neo4j_url


def test_the_saved_queries_are_listed(archex):
    code, out, _ = archex("cypher", "--list", "--json")
    listed = json.loads(out)["queries"]
    assert code == 0
    assert [query["name"] for query in listed] == [query.name for query in saved_queries()]
    assert all(query["columns"] and query["cypher"] for query in listed)
    code, out, _ = archex("cypher", "--list")
    assert code == 0
    assert all(f"{query.name}: {query.title}" in out for query in saved_queries())


@pytest.mark.neo4j
def test_statements_and_saved_queries_are_answered(archex, server_url):
    text = "MATCH (s:Score) WHERE s.value >= $least AND s.task = $task RETURN s.value AS v, [1, null] AS l ORDER BY v"
    ask = ("cypher", text, "--param", "least=0.6", "--param", "task=SST-2", "--store", server_url)
    code, out, _ = archex(*ask, "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["columns"], answer["truncated"]) == (["v", "l"], False)
    assert answer["rows"] == [[0.6, [1, None]], [0.7, [1, None]]]
    code, out, _ = archex(*ask, "--limit", "1")
    assert code == 0
    assert "[1, null]" in out
    assert "1 row in" in out
    assert "further rows were left out" in out
    code, out, _ = archex(
        "cypher", "--saved", "pareto", "--param", "task=SST-2", "--param", "space=nano", "--store", server_url, "--json"
    )
    assert code == 0
    assert max(row[3] for row in json.loads(out)["rows"]) == 0.7
    code, out, _ = archex("cypher", "RETURN '[bold]x[/bold] [/]' AS `[red]`", "--store", server_url)
    assert code == 0
    assert "[bold]x[/bold] [/]" in out
    assert "[red]" in out
    for arguments, said in (
        (("MATCH (a) SET a.x = 1",), "only read"),
        (("RETURN $x",), "none for x"),
        (("MATCH (n\nRETURN n",), "in line 2, column 1"),
        (("RETURN 1", "--timeout", "0"), "time limit"),
        (("RETURN 1", "--param", "x"), "NAME=VALUE"),
        (("RETURN $x", "--param", "x=[NaN]"), "--param x: [0] must be a finite number"),
        (("--saved", "hubs", "--param", "limit=many"), "limit"),
        (("--saved", "hubs", "--param", "nope=1"), "nope"),
        (("--saved", "nope"), "counts"),
    ):
        code, out, said_on_error = archex("cypher", *arguments, "--store", server_url)
        assert (code, out) == (2, ""), arguments
        assert said in said_on_error
        assert len(said_on_error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--list"),
        (("RETURN 1", "--list"), "only one"),
        (("RETURN 1", "--saved", "counts"), "only one"),
        (("RETURN 1", "--limit", "0"), "--limit"),
        (("RETURN $x", "--param", "x=1", "--param", "x=2"), "once"),
        (("RETURN $x, '$z'", "--param", "x=1", "--param", "z=1"), "The statement has $x"),
        (("RETURN 1",), "archex find"),
    ],
)
def test_bad_input_is_one_clear_line(archex, tmp_path, arguments, said):
    url = f"sqlite:///{tmp_path / 'embedded.db'}"
    open_store(url).close()
    code, out, said_on_error = archex("cypher", *arguments, "--store", url)
    assert (code, out) == (2, "")
    assert said in said_on_error
    assert len(said_on_error.strip().splitlines()) == 1
