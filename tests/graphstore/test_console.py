"""The Cypher console on a real server: what it reads, and what it refuses without a change to anything."""

from __future__ import annotations

import json
import math
import socket
import time

import neo4j
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphstore import cypher, open_store
from graphstore.cypher import run_query
from graphstore.errors import Code, StoreError, StoreInputError
from graphstore.neo4j import console
from graphstore.neo4j.values import CUT, LONGEST_STRING, MOST_PARTS
from graphstore.testing import samples

pytestmark = pytest.mark.neo4j


@pytest.fixture(scope="module")
def server(neo4j_url):
    """A driver of a server whose store only this module has; the console only reads, so that one is enough."""
    with neo4j.GraphDatabase.driver(neo4j_url, notifications_min_severity="OFF") as driver:
        driver.execute_query("MATCH (n) DETACH DELETE n")
        yield driver
        driver.execute_query("MATCH (n) DETACH DELETE n")


@pytest.fixture(scope="module")
def store(server, neo4j_url):
    # A server without log-in takes any: what is shown nowhere must not be shown here either.
    with open_store(neo4j_url.replace("://", "://me:hush-hush@") if "@" not in neo4j_url else neo4j_url) as store:
        store.put_space(samples.space())
        records = samples.architectures(3)
        store.add_architectures("nano", records)
        store.add_scores([samples.score(record.id, value=0.5 + i / 10) for i, record in enumerate(records)])
        yield store


def everything(server) -> list[object]:
    """All nodes, relations, constraints and indexes."""
    with server.session() as session:
        nodes = session.run("MATCH (n) RETURN elementId(n), labels(n), properties(n) ORDER BY elementId(n)").values()
        ends = "elementId(startNode(r)), elementId(endNode(r))"
        relations = session.run(
            f"MATCH ()-[r]->() RETURN elementId(r), type(r), properties(r), {ends} ORDER BY elementId(r)"
        ).values()
        rules = session.run("SHOW CONSTRAINTS YIELD name RETURN name ORDER BY name").values()
        indexes = session.run("SHOW INDEXES YIELD name RETURN name ORDER BY name").values()
    return [nodes, relations, rules, indexes]


def test_it_reads(store):
    answer = run_query(store, "MATCH (s:Score) WHERE s.value > $least RETURN s.value AS v ORDER BY v", {"least": 0.55})
    assert answer.columns == ("v",)
    assert answer.rows == ((0.6,), (0.7,))
    assert not answer.truncated
    assert answer.seconds > 0


REFUSED = {
    "create": "CREATE (:X)",
    "create and return": "CREATE (n:X) RETURN n",
    "merge": "MERGE (:X {id: 1})",
    "set": "MATCH (a:Architecture) SET a.name = 'gone'",
    "remove": "MATCH (a:Architecture) REMOVE a.name",
    "delete": "MATCH (n) DETACH DELETE n",
    "foreach": "FOREACH (x IN [1] | CREATE (:X))",
    "subquery": "CALL () { CREATE (:X) } RETURN 1",
    "in transactions": "MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS",
    "reading in transactions": "UNWIND [1] AS x CALL (x) { RETURN x AS y } IN TRANSACTIONS RETURN y",
    "with options": "CYPHER runtime=slotted CREATE (:X)",
    "explained": "EXPLAIN CREATE (:X)",
    "profiled": "PROFILE CREATE (:X)",
    "constraint": "CREATE CONSTRAINT mine FOR (n:X) REQUIRE n.y IS UNIQUE",
    "index": "CREATE INDEX mine FOR (n:X) ON (n.y)",
    "drop": "DROP CONSTRAINT archex_score",
    "writing procedure": "CALL db.createLabel('X')",
    "writing procedure inside": "CALL db.createProperty('x') RETURN 1",
    "csv from a file": "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "csv from the network": "LOAD CSV FROM 'http://127.0.0.1:1/x' AS line RETURN line",
    "csv inside": "MATCH (n) RETURN COLLECT { LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line } AS lines",
    "settings": "SHOW SETTINGS",
    "transactions": "SHOW TRANSACTIONS",
    "terminate": "TERMINATE TRANSACTIONS 'neo4j-transaction-1'",
    "users": "SHOW USERS",
    "password": "ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'b'",
    "database": "CREATE DATABASE mine",
    "other database": "USE system CALL dbms.components() YIELD name RETURN name",
    "two statements": "RETURN 1; MATCH (n) DETACH DELETE n",
}


def test_whatever_would_do_more_than_read_is_refused_and_nothing_changes(server, store):
    before = everything(server)
    for case, text in REFUSED.items():
        with pytest.raises(StoreInputError, match="query must") as caught:
            run_query(store, text)
        assert "\n" not in str(caught.value), case
    assert everything(server) == before


@pytest.mark.parametrize("text", [REFUSED[case] for case in ("create", "delete", "index", "writing procedure")])
def test_the_server_itself_refuses_where_the_plan_would_not(server, store, monkeypatch, text):
    monkeypatch.setattr(console, "_check_plan", lambda explained: None)
    before = everything(server)
    with pytest.raises(StoreInputError, match="must only read"):
        run_query(store, text)
    assert everything(server) == before


def test_the_server_itself_reads_no_files_and_calls_no_machines(store, tmp_path):
    """Inside an expression the plan does not show what is read; the managed server's settings refuse it."""
    (tmp_path / "kept.csv").write_text("secret\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        for place in ((tmp_path / "kept.csv").as_uri(), f"http://127.0.0.1:{listener.getsockname()[1]}/kept.csv"):
            text = f"RETURN [x IN [1] | COLLECT {{ LOAD CSV FROM '{place}' AS line RETURN line[0] }}] AS x"
            with pytest.raises(StoreError, match="Cannot load from URL"):
                run_query(store, text)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_parameters_are_named_as_the_server_reads_them(store):
    given = {"f": 1, "b c": 2, "a`b": 3, "4": 4}
    text = "RETURN $ f AS f, $`b c` AS g, $`a``b` AS h, $4 AS i, '$no' AS j // $no"
    assert cypher.parameter_names(text) == set(given)
    assert run_query(store, text, given).rows == ((1, 2, 3, 4, "$no"),)


@pytest.mark.parametrize("brackets", ["[]", "()", "{}"])
def test_a_deeply_nested_statement_is_refused_before_the_server_parses_it(store, brackets):
    depth = 4_000
    with pytest.raises(StoreInputError, match="open brackets"):
        run_query(store, f"RETURN {brackets[0] * depth}{brackets[1] * depth}")
    most = console.DEEPEST_STATEMENT - 1  # one bracket belongs to size()
    assert run_query(store, f"RETURN size({'[' * most}{']' * most}) AS n").rows == ((1,),)


HIDING = ("[']',", '[ "]",', "[ /*]*/", "[`]`,", "[ //]\n", "\\u005B", "[\\u0027]\\u0027,", "('\\')'+")


@pytest.mark.parametrize("opening", HIDING)
def test_brackets_that_only_look_closed_are_counted(store, opening):
    with pytest.raises(StoreInputError, match="open brackets"):
        run_query(store, f"WITH 1 AS `]` RETURN {opening * 500}1{']' * 500}")


def test_brackets_in_texts_and_comments_are_none(store):
    text = "['" + "[" * 500 + "'] /* " + "(" * 500 + "*/ //" + "{" * 500
    assert run_query(store, f"RETURN size({text}\n) AS n").rows == ((1,),)


def test_a_server_that_says_nothing_is_not_waited_for(store, monkeypatch):
    """Its parser overflows its stack at chains without brackets, too, and then sends no error."""
    monkeypatch.setattr(console, "GRACE_S", 1.0)
    begun = time.monotonic()
    with pytest.raises(StoreInputError, match="must end within 1 seconds"):
        run_query(store, f"RETURN {'NOT ' * 2_000}true AS n", time_limit_s=1.0)
    assert time.monotonic() - begun < 20
    assert run_query(store, "RETURN 1 AS n").rows == ((1,),)


def test_reading_procedures_may_be_called(store):
    labels = run_query(store, "CALL db.labels()").rows
    assert ("Architecture",) in labels
    inside = "CALL db.labels() YIELD label WHERE label STARTS WITH 'Archi' RETURN label, date.truncate('year', date())"
    assert run_query(store, inside).rows[0][0] == "Architecture"
    nested = "RETURN [x IN ['LOAD CSV'] | COLLECT { CALL db.labels() YIELD label RETURN label }] AS labels"
    assert "Architecture" in run_query(store, nested).rows[0][0][0]


def test_values_become_json(store):
    answer = run_query(
        store,
        "MATCH p = (:Space)-[h:HOLDS]->(a:Architecture)-[:HAS_LAYER]->(:Layer {index: 0}) "
        "WITH p, h, a ORDER BY a.id LIMIT 1 RETURN p, h, a, date('2020-02-29') AS day, "
        "datetime('2020-01-01T00:00:00Z') AS moment, localtime('01:02:03') AS time, duration('P1DT2S') AS span, "
        "point({longitude: 1, latitude: 2}) AS place, 0.0 / 0.0 AS nan, [1.0 / 0.0, -1.0 / 0.0] AS infinite, "
        "{a: [1, {b: null}]} AS map, 9007199254740993 AS whole, true AS yes",
    )
    row = dict(zip(answer.columns, answer.rows[0], strict=True))
    json.dumps(answer.rows, allow_nan=False)
    assert row["a"]["labels"] == ["ArchexArchitecture", "Architecture"]
    first = sorted(samples.architectures(3), key=lambda record: record.id)[0]
    assert row["a"]["properties"]["spec"] == first.spec
    assert (row["h"]["type"], row["h"]["to"]) == ("HOLDS", row["a"]["id"])
    assert [part.get("labels", part.get("type")) for part in row["p"]["path"]] == [
        ["ArchexSpace", "Space"],
        "HOLDS",
        ["ArchexArchitecture", "Architecture"],
        "HAS_LAYER",
        ["ArchexLayer", "Layer"],
    ]
    assert (row["day"], row["moment"], row["time"], row["span"]) == (
        "2020-02-29",
        "2020-01-01T00:00:00.000000000+00:00",
        "01:02:03.000000000",
        "P1DT2S",
    )
    assert row["place"] == {"srid": 4326, "coordinates": [1.0, 2.0]}
    assert (row["nan"], row["infinite"]) == ("NaN", ["Infinity", "-Infinity"])
    assert (row["map"], row["whole"], row["yes"]) == ({"a": [1, {"b": None}]}, 9007199254740993, True)


def test_values_are_cut_to_a_size(store):
    text = "RETURN range(1, 5000) AS list, $text AS text, [[[1]]] AS nested"
    row = run_query(store, text, {"text": "x" * 5000}).rows[0]
    assert row[0] == [*range(1, MOST_PARTS + 1), CUT]
    assert row[1] == "x" * LONGEST_STRING + CUT
    assert row[2] == [[[1]]]


def test_a_huge_result_is_stopped_at_the_row_limit(store):
    memory = psutil.Process()
    before = memory.memory_info().rss
    answer = run_query(store, "UNWIND range(1, 1000000000) AS x RETURN x, toString(x) AS t", row_limit=1000)
    assert [row[0] for row in answer.rows] == list(range(1, 1001))
    assert answer.truncated
    assert memory.memory_info().rss - before < 100 * 2**20
    assert not run_query(store, "UNWIND range(1, 1000) AS x RETURN x", row_limit=1000).truncated


@pytest.mark.parametrize(
    "text",
    [
        "UNWIND range(1, 100000000000) AS x RETURN count(*)",
        "UNWIND range(1, 10000) AS x UNWIND range(1, 10000000) AS y WITH x WHERE x < 0 RETURN x",
    ],
)
def test_a_query_that_would_run_for_minutes_is_ended(store, text):
    with pytest.raises(StoreInputError, match="within 1 seconds"):
        run_query(store, text, time_limit_s=1)
    assert run_query(store, "RETURN 1").rows == ((1,),)


def test_a_query_that_eats_memory_is_ended(store):
    with pytest.raises(StoreInputError, match=r"query must (fit into the memory|end within)"):
        run_query(store, "UNWIND range(1, 1000000000) AS x RETURN collect(x)", time_limit_s=20)
    assert run_query(store, "RETURN 1").rows == ((1,),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RETURN $one + $other", "one, other"),
        ("MATCH (n RETURN n", "in line 1, column 10: Invalid input 'RETURN'"),
        ("MATCH (n)\nRETUR n", "in line 2, column 1: Invalid input 'RETUR'"),
        ("RETURN 1 / 0", "/ by zero"),
        ("MATCH (n) RETURN n /*", "in line 1, column"),
        ("/*", "in line 1, column"),
        ("", "nothing"),
        (" \n", "nothing"),
        ("RETURN 1 //" + "x" * cypher.LONGEST_TEXT, "10,000 characters"),
        ("RETURN nothing", "Variable `nothing` not defined"),
    ],
)
def test_a_wrong_text_is_one_line_that_says_where(store, text, said):
    with pytest.raises(StoreInputError) as caught:
        run_query(store, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"row_limit": 0}, "row limit"),
        ({"row_limit": cypher.MOST_ROWS + 1}, "row limit"),
        ({"time_limit_s": 0}, "time limit"),
        ({"time_limit_s": math.nan}, "time limit"),
        ({"time_limit_s": 1e9}, "time limit"),
        ({"parameters": {"x": math.nan}}, "parameters"),
        ({"parameters": {"x": {1, 2}}}, "parameters"),
        ({"parameters": {"x": 2**64}}, "64 bits"),
        ({"parameters": {"x": "y" * 200_000}}, "parameters"),
    ],
)
def test_limits_and_parameters_are_checked(store, options, said):
    with pytest.raises(StoreInputError, match=said):
        run_query(store, "RETURN $x", **{"parameters": {"x": 1}} | options)


def test_an_embedded_store_has_no_cypher(tmp_path):
    with (
        open_store(f"sqlite:///{tmp_path / 'x.db'}") as store,
        pytest.raises(StoreInputError, match="must be a Neo4j server") as refused,
    ):
        run_query(store, "RETURN 1")
    assert refused.value.code is Code.NO_CYPHER


WORDS = (
    "MATCH RETURN WHERE WITH UNWIND CALL CREATE DELETE SET LIMIT ORDER BY ( ) [ ] { } (n) -[r]-> , . ; $x $ 'a' \" ` "
    "// /* 1 -1 1.5 1e400 null n r.x * + / % = <> count(*) range(1,3) collect(n) AS x EXPLAIN PROFILE CYPHER USE neo4j "
    "\\u0041 point({x:1,y:2}) date() duration('P1D') size([1]) UNION SHOW EXISTS :Architecture"
)
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS.split()), max_size=12).map(" ".join),
    st.lists(st.sampled_from(WORDS.split()), max_size=4).map(lambda words: f"MATCH (n) RETURN {' '.join(words)}"),
    st.text(max_size=40),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_any_text_gives_an_answer_or_an_error_of_the_input(server, store):
    before = everything(server)
    refusals: list[str] = []

    @settings(max_examples=150)
    @given(TEXTS, st.dictionaries(st.just("x"), JSON, max_size=1))
    def check(text, parameters):
        try:
            answer = run_query(store, text, parameters, row_limit=5, time_limit_s=5)
        except StoreInputError as error:
            refusals.append(str(error))
        else:
            json.dumps(answer.rows, allow_nan=False)
            assert all(len(row) == len(answer.columns) for row in answer.rows)

    check()
    assert refusals
    assert not any("\n" in refusal for refusal in refusals)
    assert everything(server) == before
