"""``check`` names every thing that is broken on purpose, and finds nothing in a sound store."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import StoreError, StoreInputError
from graphstore.maintenance import check, migrate
from graphstore.neo4j.migrations import VECTORS
from graphstore.records import LineageRecord
from graphstore.reports import EXAMPLES, CheckReport, with_examples
from graphstore.testing import samples


def make(url: str) -> CheckReport:
    """A store with everything in it; what a check of it must report."""
    with open_store(url) as store:
        records = samples.fill(store)
        store.add_lineage([LineageRecord("run/1", records[0].id, "run/0", records[1].id, "ordered", 0.5)])
        counts = {
            "spaces": 2,
            "architectures": 12,
            "layers": sum(len(record.layers) for record in records),
            "ops": sum(len(record.ops) for record in records),
            "feeds": sum(len(record.feeds) for record in records),
            "members": 18,
            "neighbors": 24,
            "scores": 25,
            "measurements": 5,
            "kernels": 0,
            "lineage": 1,
            "studies": 1,
            "trials": 4,
            "jobs": 1,
        }
        engine = "sqlite" if url.startswith("sqlite") else "neo4j"
        return CheckReport(store.url, engine, SCHEMA_VERSION, SCHEMA_VERSION, counts, ())


def test_problem_names_the_first_culprits():
    assert with_examples("lost", ["a"]) == "lost: 1 (a)"
    assert with_examples("lost", list("abcdefg")) == f"lost: 7 ({', '.join('abcdefg'[:EXAMPLES])}, …)"


# SQLite -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CheckReport]:
    path = tmp_path_factory.mktemp("check") / "store.db"
    return path, make(f"sqlite:///{path}")


@pytest.fixture
def path(sound: tuple[Path, CheckReport], tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return Path(shutil.copy(sound[0], tmp_path / "store.db"))


def test_sound_file(sound: tuple[Path, CheckReport]):
    path, expected = sound
    before = path.read_bytes()
    report = check(f"sqlite:///{path}")
    assert report == expected
    assert report.ok
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


def test_file_in_use(path: Path, sound: tuple[Path, CheckReport]):
    with open_store(f"sqlite:///{path}") as store:
        store.put_job(samples.job("second"))
        report = check(f"sqlite:///{path}")
    assert report.problems == ()
    assert report.counts == {**sound[1].counts, "jobs": 2}


FIRST = "(SELECT min(key) FROM architecture)"
BROKEN_FILES = {
    "DROP INDEX score_kind": "the index score_kind is missing",
    "DROP TABLE lineage": "the table lineage is missing",
    "PRAGMA user_version = 1": f"header says version 1, its table says {SCHEMA_VERSION}",
    f"DELETE FROM layer WHERE architecture = {FIRST} AND position = 0": "another number of layers",
    f"UPDATE layer SET position = position + 1000 WHERE architecture = {FIRST}": "layers are not numbered from 0: 1",
    "UPDATE architecture SET profile = replace(profile, '64', '99')": "summary does not match their layers: ",
    f"UPDATE layer SET family = 'x' WHERE architecture = {FIRST}": "whose summary does not match their layers: 1 ",
    "UPDATE architecture SET profile = '{'": "another number of layers than their summary says: 12",
    f"DELETE FROM op WHERE architecture = {FIRST} AND position = 1": "operations are not numbered from 0: 1",
    f"UPDATE op SET layer = 99 WHERE architecture = {FIRST}": "operations in a layer they do not have: 1",
    f"UPDATE op SET architecture = 999 WHERE position = 0 AND architecture = {FIRST}": "rows of op that refer to no",
    f"UPDATE feeds SET position = 500 WHERE architecture = {FIRST} AND position = 0": "edges are not numbered",
    f"UPDATE feeds SET target = 500 WHERE architecture = {FIRST} AND position = 0": "operations they do not have",
    f"UPDATE feeds SET target = 0 WHERE architecture = {FIRST} AND position = 0": "or backwards: 1",
    "DELETE FROM holds WHERE position = 3 AND space = 1": r"spaces whose architectures are not numbered .* \(nano\)",
    "UPDATE holds SET embedding = x'00000000' WHERE position = 2 AND space = 1": r"vectors of several lengths.*nano",
    "UPDATE holds SET embedding = x'000000' WHERE space = 1": "vectors of several lengths",
    "UPDATE similar SET space = 2": r"neighbours that are not in them: 1 \(tiny\)",
    "UPDATE score SET architecture = 999 WHERE seed = 2": "rows of score that refer to no architecture: 1",
    "UPDATE trial SET architecture = 999 WHERE number = 1": "rows of trial that refer to no architecture: 1",
    "UPDATE trial SET number = 9 WHERE number = 3": r"trials are not numbered from 0: 1 \(first\)",
    "UPDATE trial SET state = 'lost' WHERE number = 3": r"trials in an unknown state: 1 \(1/3\)",
    "UPDATE study SET state = 'lost'": r"studies in an unknown state: 1 \(first\)",
    "UPDATE job SET state = 'lots'": r"jobs in an unknown state: 1 \(job-1\)",
    "INSERT INTO revision VALUES ('weather', 1)": r"invalid revision counters: 1 \(weather\)",
}


@pytest.mark.parametrize("statement", BROKEN_FILES)
def test_broken_file(path: Path, statement: str):
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()
    report = check(f"sqlite:///{path}")
    assert any(re.search(BROKEN_FILES[statement], problem) for problem in report.problems), report.problems
    assert (report.ok, report.version) == (False, SCHEMA_VERSION)


def test_missing_file(tmp_path: Path):
    with pytest.raises(StoreInputError, match="must exist"):
        check(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []


# Neo4j --------------------------------------------------------------------------------------------------------------

A = "MATCH (a:Architecture) WITH a ORDER BY a.id LIMIT 1 "
"""The first architecture."""

# In this order, each group on top of those before: statements that break something, and what the check must say once
# all of a group have run. Two that change what is said of the other are in different groups.
BROKEN_GRAPHS = (
    {
        f"DROP INDEX {VECTORS}": f"the vector index {VECTORS} is missing: migrating the store creates it again",
        "DROP CONSTRAINT archex_job_id": "the constraint archex_job_id is missing",
        "MATCH (m:ArchexMeta {topic: 'jobs'}) REMOVE m.revision": "counters of changes of jobs must be 1, but are 0",
        "MATCH (m:ArchexMeta {topic: 'schema'}) REMOVE m.identity": "the store's identity is missing: migrating",
        "MATCH (j:Job) SET j.state = 'lots'": r"jobs in an unknown state: 1 \(job-1\)",
        "MATCH (:Layer)-[:HAS_OP]->(o) WITH o LIMIT 1 SET o.layer = 7": "operations in another layer than they say: 1",
        A + "MATCH (a)-[:HAS_OP]->({kind: 'input'})-[f:FEEDS]->() SET f.position = 500": "edges are not numbered",
        "MATCH (a:Architecture)-[:HAS_OP]->(o {kind: 'input'}) WITH a, o ORDER BY a.id LIMIT 2 WITH collect(o) AS o "
        "WITH o[0] AS s, o[1] AS t CREATE (s)-[:FEEDS {position: 0}]->(t)": "operations of another, or backwards: 1",
        A + "MATCH (a)-[:HAS_OP]->(o {kind: 'input'}) SET o.index = 500": "operations are not numbered from 0: 1",
        A + "SET a.families = ['x'] + a.families[1..]": "whose summary does not match their layers: 1 ",
    },
    {
        "MATCH (a:Architecture) WITH a ORDER BY a.id DESC LIMIT 1 SET a.hiddens = a.hiddens + 1": "their layers: 2 ",
        A + "SET a.depth = 99": "another number of layers than their summary says: 1",
        A + "MATCH (a)-[:HAS_LAYER]->(l) SET l.index = l.index + 1": "layers are not numbered from 0: 1",
    },
    {
        "MATCH (l:Layer) WITH l LIMIT 1 MATCH (l)<-[r:HAS_LAYER]-() DELETE r": "layers that belong to no architecture",
        "MATCH (o:Op {kind: 'output'}) WITH o LIMIT 1 MATCH (o)<-[r:HAS_OP]-() DELETE r": "operations that belong to",
        "MATCH (:Space {name: 'nano'})-[h:HOLDS {position: 3}]->() SET h.position = 4": r"numbered from 0: 1 \(nano\)",
        "MATCH (s:Space {name: 'tiny'}) SET s.size = 7": r"number of architectures than they say.*: 1 \(tiny\)",
        "MATCH (:Space)-[h:HOLDS {position: 2}]->() SET h.embedding = [1.0]": r"vectors of several lengths: 1 \(nano\)",
        "MATCH ()-[r:SIMILAR {rank: 2}]->() SET r.rank = 1": "several neighbours of one rank: 12",
    },
    {
        "MATCH ()-[r:SIMILAR]->() WITH r LIMIT 1 SET r.space = 'no'": r"neighbours that are not in them: 1 \(no\)",
        "MATCH (s:Score {seed: 2})-[r:OF]->() DELETE r": "scores without their architecture: 1",
        "MATCH (m:Measurement)-[r:OF]->() DELETE r": "measurements without their architecture: 5",
        "MATCH (t:Trial {number: 0})-[r:EVALUATES]->() DELETE r": r"trials without their study or .*: 1 \(first/0\)",
        "MATCH (t:Trial {number: 3}) SET t.number = 9, t.state = 'lost'": r"trials are not numbered .* \(first\)",
        "MATCH (t:Trial {number: 1}) SET t.state = 'lots'": r"trials in an unknown state: 2 \(first/",
        "MATCH (s:Study) SET s.state = 'lost'": r"studies in an unknown state: 1 \(first\)",
        "MATCH (s:Study) SET s.space = 'no'": r"studies without their space: 1 \(first\)",
        "MATCH (s:Score) WITH s ORDER BY s.id LIMIT 1 REMOVE s.source": "^scores with a property that is missing.*: 1 ",
    },
    {
        "MATCH (s:Score) WITH s ORDER BY s.id DESC LIMIT 1 SET s.seconds = sqrt(-1)": "^scores with a property .*: 2 ",
    },
    {
        "MATCH (s:Score {seed: 2}) SET s.seed = '2', s.value = -1.0 / 0": "^scores with a property that .*: 3 ",
        A + "SET a.heterogeneity = 'none'": "^architectures with a property that is missing, of another type, .*: 1 ",
        "MATCH (l:Layer) WITH l LIMIT 1 SET l.feed_forward = [1.5]": "^layers with a property that is missing.*: 1 ",
        "MATCH (o:Op) WITH o LIMIT 2 SET o.label = 5": "^operations with a property that is missing.*: 2 ",
        "MATCH ()-[r:SIMILAR]->() WITH r LIMIT 1 SET r.dissimilarity = sqrt(-1)": "^neighbours with a property.*: 1 ",
        "MATCH (m:Measurement) WITH m LIMIT 1 REMOVE m.unit": "^measurements with a property that is missing.*: 1 ",
        "MATCH ()-[r:INHERITED]->() REMOVE r.share": "^lineage with a property that is missing.*: 1 ",
        "MATCH (s:Study) SET s.spec = 2.5": r"^studies with a property that is missing.*: 1 \(first\)",
        "MATCH (t:Trial {number: 1}) SET t.value = 1.0 / 0": "^trials with a property that is missing.*: 1 ",
        "MATCH (j:Job) SET j.progress = sqrt(-1)": r"^jobs with a property that is missing.*: 1 \(job-1\)",
        "MATCH (s:Space {name: 'tiny'}) REMOVE s.info": r"^spaces with a property that is missing.*: 1 \(tiny\)",
    },
)


def said(report: CheckReport, group: dict[str, str]) -> list[str]:
    """The sentences of a group that a check says."""
    return [sentence for sentence in group.values() if any(re.search(sentence, line) for line in report.problems)]


@pytest.mark.neo4j
def test_broken_server(server, neo4j_url: str):
    expected = make(neo4j_url)
    report = check(neo4j_url)
    assert report == expected
    try:
        with server.session() as session:
            for group in BROKEN_GRAPHS:
                assert said(report, group) == []
                for statement in group:
                    session.run(statement).consume()
                report = check(neo4j_url)
                assert said(report, group) == list(group.values()), report.problems
    finally:
        migrate(neo4j_url, lambda line: None)
    assert not any("migrat" in problem for problem in check(neo4j_url).problems)


def test_server_that_does_not_answer():
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1"):
        check("bolt://127.0.0.1:1")
