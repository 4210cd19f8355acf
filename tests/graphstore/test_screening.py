"""What a Cypher statement's text says before it runs: refused words, ranges that are too long, texts that double."""

from __future__ import annotations

import pytest

from graphstore.errors import StoreInputError
from graphstore.neo4j.saved_queries import saved_queries
from graphstore.neo4j.screening import LONGEST_RANGES, parameter_names, screen, tokens


@pytest.mark.parametrize(
    "text",
    [
        "RETURN size([x IN range(1,60000000)|toString(x)]) AS n",
        "RETURN size([x IN RANGE /* a */ (1, 60_000_000) | x])",
        "RETURN size([x IN `range`(1, 0x3938700) | x])",
        "RETURN [x IN range(-60000000, 0, 2) | x]",
        "RETURN [x IN range(1, 1e9) | x]",
        f"RETURN [x IN range(1, 0x{'f' * 5000}) | x]",
        f"RETURN [x IN range(1, {'9' * 5000}) | x]",
        "RETURN [x IN range($low, $high) | x]",
        "RETURN [x IN range(1, size($l) + $high) | x]",
        "RETURN [x IN range(1, size($l) + 60000000) | x]",
        "RETURN [x IN range(1, 6000 * 10000) | x]",
        "RETURN [x IN range(1, toInteger('60000000')) | x]",
        "WITH 60000000 AS n RETURN [x IN range(1, n) | x]",
        "RETURN [x IN range(1, 1000) | [y IN range(1, 1000) | x + y]]",
        "RETURN [x IN range(1, 60000000) | x] AS `range(1,2)`",
        "UNWIND [range(1, 60000000)] AS x RETURN x",
    ],
)
def test_a_range_that_would_be_held_is_bounded(text):
    with pytest.raises(StoreInputError, match=r"range.*UNWIND"):
        screen(text, {"low": 0, "high": 60_000_000, "l": [1]})


@pytest.mark.parametrize(
    "text",
    [
        f"RETURN [x IN range(1, {LONGEST_RANGES}) | x]",
        "RETURN [x IN range(0, 60000000, 1000) | x]",
        "RETURN range(1, 5000) AS a, range(1, 5000) AS b",
        "RETURN [i IN range(0, size($l) - 1) | $l[i]], [i IN range(1, $few) | i]",
        "MATCH p = (a)-[*1..3]->(b) RETURN [i IN range(0, length(p)) | i], [i IN range(1, a.depth - 1) | i]",
        "UNWIND range(1, 60000000) AS x RETURN count(x)",
        "RETURN 'range(1, 60000000)' AS a // range(1, 60000000)",
        "RETURN n.range, range AS x /* range(1, 60000000) */",
        "RETURN reduce(m = 0, x IN $l | CASE WHEN x > m THEN x ELSE m END)",
        "RETURN reduce(d = [], x IN $l | CASE WHEN x IN d THEN d ELSE d + x END)",
        "RETURN reduce(s = '', x IN $l | s + x), reduce(n = 1, x IN $l | n * n)",
        "RETURN 'LOAD CSV', \"CALL dbms.x()\", `TERMINATE TRANSACTIONS`, n.load AS csv, 'it\\'s CALL dbms.x()'",
        "WITH 1 AS call RETURN call",
        "CALL (n) { RETURN 1 AS x } RETURN date.truncate('year', date()), x IN transactions",
    ],
)
def test_what_is_bounded_and_reads_may_run(text):
    screen(text, {"few": 3, "l": [1]})


@pytest.mark.parametrize(
    "text",
    [
        "RETURN reduce(s='ab', i IN range(1,29)|s+s)='x'",
        "RETURN reduce(s = [1], i IN range(1, 29) | s + [1] + s)",
        "RETURN reduce(s = $text, i IN range(1, 29) | CASE WHEN i = 0 THEN s ELSE s + s END)",
        "RETURN Reduce (s = toString(1), i IN [x IN [1, 2] | x] | `s` + s)",
    ],
)
def test_what_doubles_at_every_step_is_refused(text):
    with pytest.raises(StoreInputError, match="doubles"):
        screen(text, {"text": "x"})


@pytest.mark.parametrize(
    "text",
    [
        "load /* x */ csv FROM 'x' AS l RETURN l",
        "RETURN 'a' + \"'\" + COUNT { LOAD // '\nCSV FROM 'x' AS l RETURN l }",
        "CALL `dbms`.`components`() YIELD name RETURN name",
        "RETURN [x IN l[1..apoc.load.json('x')] | {a: apoc . x()}]",
        "RETURN {a: apoc . x()}",
        "TERMINATE TRANSACTION 'x'",
        "SHOW TRANSACTIONS",
        "CALL (x) { RETURN 1 AS y } IN 3 CONCURRENT TRANSACTIONS",
    ],
)
def test_words_that_do_more_than_read_are_refused(text):
    with pytest.raises(StoreInputError, match="must only read"):
        screen(text, {})


def test_characters_are_written_as_they_are():
    with pytest.raises(StoreInputError, match="Write the character"):
        screen("RETURN size([x IN r\\u0061nge(1, 60000000) | x])", {})


def test_every_saved_query_passes():
    for query in saved_queries():
        given = {p.name: "x" for p in query.parameters if p.default is None}
        screen(query.text, query.values(given))


def test_parameters_are_found():
    assert parameter_names("RETURN $a + $`b c` + '$d' // $e\n + $ f + $a") == {"a", "b c", "f"}
    assert [token.text for token in tokens("a`b``c`1..5")] == ["a", "b`c", "1", ".", ".", "5"]
