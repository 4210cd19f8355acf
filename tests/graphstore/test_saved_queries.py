"""Each saved query on a real server, against the same answer worked out in Python from what was put in."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import neo4j
import networkx as nx
import pytest

from graphstore import open_store
from graphstore.cypher import run_query
from graphstore.neo4j.saved_queries import saved_queries, saved_query
from graphstore.neo4j.saved_texts import TEXTS
from graphstore.records import (
    ArchitectureRecord,
    LineageRecord,
    NeighborRecord,
    ScoreRecord,
    StudyRecord,
    StudyState,
    TrialStatus,
)
from graphstore.testing import samples

KERNEL = "wl"
KINDS = (("accuracy", "text", "short", "r"), ("accuracy", "text", "long", "r"), ("loss", "text", "short", "r"))


@dataclass(frozen=True)
class Catalogue:
    """What was put into the store."""

    records: dict[str, ArchitectureRecord]
    spaces: dict[str, list[str]]
    neighbors: list[tuple[str, NeighborRecord]]
    scores: list[ScoreRecord]
    lineage: list[LineageRecord]
    url: str

    def means(self, task: str, space: str = "") -> dict[str, dict[str, float]]:
        """Mean value by kind and architecture."""
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for s in self.scores:
            if s.task == task and (not space or s.architecture in self.spaces[space]):
                found[" | ".join((s.metric, s.dataset, s.fidelity, s.recipe, s.origin))][s.architecture].append(s.value)
        return {kind: {id: fmean(values) for id, values in by.items()} for kind, by in sorted(found.items())}


def worth(kind: str, value: float) -> float:
    return -value if kind.startswith("loss") else value


def ask(store, name: str, **parameters):
    query = saved_query(name)
    if any(parameter.name == "kernel" for parameter in query.parameters):
        parameters = {"kernel": KERNEL} | parameters
    answer = run_query(store, query.text, query.values(parameters), row_limit=10_000, time_limit_s=60)
    assert list(answer.columns) == list(query.columns)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def rounded(rows):
    return [
        {name: round(value, 9) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    ]


@pytest.fixture(scope="module")
def catalogue(neo4j_url):
    rng = random.Random(3)
    records = {record.id: record for record in samples.architectures(14, seed=8)}
    ids = list(records)
    spaces = {"left": ids[:10], "right": ids[6:]}
    neighbors = [
        (space, NeighborRecord(source, target, kernel, rank, round(rng.uniform(0.1, 0.9), 3)))
        for space, members in spaces.items()
        for kernel in (KERNEL, "other")
        for source in members
        for rank, target in enumerate(rng.sample([id for id in members if id != source], 3), start=1)
    ]
    scores = [
        ScoreRecord(id, task, *kind[:1], round(rng.uniform(0, 1), 3), *kind[1:], seed, "t")
        for id in ids[2:12]
        for task in ("mean", "order")
        for kind in KINDS
        for seed in range(rng.randint(0, 3))
    ]
    lineage = [
        LineageRecord("c", ids[0], "b", ids[1], "ordered", 0.5),
        LineageRecord("b", ids[1], "a", ids[2], "ordered", 0.8),
        LineageRecord("x", ids[0], "a", ids[2], "ordered", 0.25),
        LineageRecord("y", ids[1], "z", ids[4], "ordered", 0.75),
    ]
    with neo4j.GraphDatabase.driver(neo4j_url, notifications_min_severity="OFF") as driver:
        driver.execute_query("MATCH (n) DETACH DELETE n")
        with open_store(neo4j_url) as store:
            for space, members in spaces.items():
                store.put_space(samples.space(space))
                store.add_architectures(space, [records[id] for id in members])
                for kernel in (KERNEL, "other"):
                    store.put_neighbors(space, kernel, [n for s, n in neighbors if s == space and n.kernel == kernel])
            store.add_scores(scores)
            store.add_lineage(lineage)
            _search(store, ids)
        yield Catalogue(records, spaces, neighbors, scores, lineage, neo4j_url)
        driver.execute_query("MATCH (n) DETACH DELETE n")


def _search(store, ids) -> None:
    """Two studies: values that rise, fall and stay; one trial fails, one goes stale, one is done at the second try."""
    values = {"first": [0.5, 0.4, 0.7, 0.7, 0.9], "second": [0.2, 0.1]}
    for name, worths in values.items():
        store.create_study(StudyRecord(name, "left", {"policy": "random"}, StudyState.OPEN, 1.0))
        store.add_trials(name, [(id, {}) for id in ids[:8]])
        for at, value in enumerate(worths):
            trial = store.claim_trial(name, "me", 10.0, 100.0 + at)
            store.finish_trial(trial, TrialStatus.COMPLETE, 101.0 + at, value=value)
    trial = store.claim_trial("first", "me", 10.0, 200.0)
    store.finish_trial(trial, TrialStatus.FAILED, 201.0, reason="out of memory")
    store.claim_trial("first", "me", 10.0, 300.0)
    store.expire_leases("first", 400.0, 3)
    store.claim_trial("second", "me", 10.0, 300.0)
    store.expire_leases("second", 400.0, 3)
    trial = store.claim_trial("second", "me", 10.0, 500.0)
    store.finish_trial(trial, TrialStatus.COMPLETE, 501.0, value=0.95)


@pytest.fixture
def store(catalogue):
    with open_store(catalogue.url) as store:
        yield store


pytestmark = pytest.mark.neo4j


def test_counts(catalogue, store):
    found = {(row["sort"], row["name"]): row["count"] for row in ask(store, "counts")}
    records = catalogue.records.values()
    assert found["node", "Architecture"] == 14
    assert found["node", "Layer"] == sum(len(record.layers) for record in records)
    assert found["node", "Op"] == sum(len(record.ops) for record in records)
    assert found["node", "Score"] == len(catalogue.scores)
    assert found["relation", "FEEDS"] == sum(len(record.feeds) for record in records)
    assert found["relation", "SIMILAR"] == len(catalogue.neighbors)
    assert found["relation", "HOLDS"] == sum(map(len, catalogue.spaces.values()))
    assert found["relation", "INHERITED"] == 4


@pytest.mark.parametrize("space", ["", "right"])
@pytest.mark.parametrize("family", ["c", "sa"])
def test_best_by_last_layer(catalogue, store, space, family):
    expected = []
    for kind, means in catalogue.means("order", space).items():
        for id in sorted(means, key=lambda id: (-worth(kind, means[id]), id)):
            record = catalogue.records[id]
            last = record.layers[-1]
            if family in last.family.split("+"):
                row = {"kind": kind, "architecture": id, "last": f"{last.family}_{last.parameter}", "value": means[id]}
                expected.append(row | {"parameters": record.parameters})
    assert expected
    found = ask(store, "best-by-last-layer", task="order", family=family, space=space)
    assert rounded(found) == rounded(expected[:20])
    assert rounded(ask(store, "best-by-last-layer", task="order", family=family, space=space, limit=1)) == rounded(
        expected[:1]
    )


@pytest.mark.parametrize("space", ["", "left"])
def test_operations_by_depth(catalogue, store, space):
    expected = {}
    for kind, means in catalogue.means("mean", space).items():
        best = sorted(means, key=lambda id: (-worth(kind, means[id]), id))[:4]
        layers = (layer for id in best for layer in catalogue.records[id].layers)
        for (index, operation), count in Counter((y.index, f"{y.family}_{y.parameter}") for y in layers).items():
            expected[kind, index, operation] = count
    found = ask(store, "operations-by-depth", space=space, k="4")
    assert {(r["kind"], r["layer"], r["operation"]): r["architectures"] for r in found} == expected
    assert [(r["kind"], r["layer"], -r["architectures"]) for r in found] == sorted(
        (r["kind"], r["layer"], -r["architectures"]) for r in found
    )


def links(catalogue, space: str, kernel: str = KERNEL):
    return [(s, n) for s, n in catalogue.neighbors if n.kernel == kernel and space in ("", s)]


@pytest.mark.parametrize("space", ["", "left", "right"])
def test_untrained_nearby(catalogue, store, space):
    start = catalogue.spaces["right"][0]
    scored = {score.architecture for score in catalogue.scores}
    steps = links(catalogue, space)
    near = [(s, n) for s, n in steps if n.source == start]
    known = {n.target for _, n in near}
    ways = defaultdict(list)
    for s, first in near:
        for t, second in steps:
            far = second.target
            if s == t and second.source == first.target and far != start and far not in known | scored:
                ways[far].append((first.dissimilarity + second.dissimilarity, first.target))
    expected = [
        (id, len({b for _, b in found}), round(min(found)[0], 9), catalogue.records[id].parameters)
        for id, found in ways.items()
    ]
    found = rounded(ask(store, "untrained-nearby", id=start[:8], space=space))
    assert [tuple(row.values()) for row in found] == sorted(expected, key=lambda row: (row[2], row[0]))
    assert expected or space


@pytest.mark.parametrize("space", ["", "left"])
def test_path(catalogue, store, space):
    graph = nx.Graph()
    lengths = defaultdict(set)
    for _, n in links(catalogue, space):
        graph.add_edge(n.source, n.target)
        lengths[frozenset((n.source, n.target))].add(n.dissimilarity)
    first, last = catalogue.spaces["left"][0], catalogue.spaces["left"][7]
    (row,) = ask(store, "path", **{"from": first, "to": last, "space": space})
    assert row["steps"] == nx.shortest_path_length(graph, first, last)
    assert (row["architectures"][0], row["architectures"][-1]) == (first, last)
    sums = itertools.product(*(lengths[frozenset(pair)] for pair in itertools.pairwise(row["architectures"])))
    assert round(row["dissimilarity"], 9) in {round(sum(steps), 9) for steps in sums}
    assert ask(store, "path", **{"from": first, "to": first, "space": space}) == []


def test_heterogeneity(catalogue, store):
    expected = []
    for kind, means in catalogue.means("mean").items():
        groups = defaultdict(list)
        for id, value in means.items():
            groups[int(catalogue.records[id].heterogeneity * 10 + 1e-9) / 10].append(value)
        for tenth, values in sorted(groups.items()):
            row = (kind, tenth, len(values), fmean(values), min(values), max(values))
            expected.append(dict(zip(saved_query("heterogeneity").columns, row, strict=True)))
    assert rounded(ask(store, "heterogeneity")) == rounded(expected)


@pytest.mark.parametrize("space", ["", "right"])
def test_pareto(catalogue, store, space):
    expected = []
    for kind, means in catalogue.means("mean", space).items():
        points = [(catalogue.records[id].parameters, id, worth(kind, value)) for id, value in means.items()]
        for size, id, value in sorted(points):
            if not any(s <= size and v >= value and (s, v) != (size, value) for s, _, v in points):
                expected.append({"kind": kind, "architecture": id, "parameters": size, "value": means[id]})
    assert rounded(ask(store, "pareto", space=space)) == rounded(expected)


def test_stale_trials(catalogue, store):
    expected = [
        (study, t.number, t.state.value, t.attempt, t.reason, t.architecture)
        for study in ("first", "second")
        for t in store.trials(study)
        if t.state is TrialStatus.STALE or t.attempt > 1
    ]
    assert [row[2:4] for row in expected] == [("stale", 1), ("complete", 2)]
    assert [tuple(row.values()) for row in ask(store, "stale-trials")] == expected


def test_best_so_far(catalogue, store):
    found = [(row["study"], row["evaluations"], row["best"]) for row in ask(store, "best-so-far")]
    assert found == [("first", 1, 0.5), ("first", 3, 0.7), ("first", 5, 0.9), ("second", 1, 0.2), ("second", 3, 0.95)]


@pytest.mark.parametrize("space", ["", "right"])
def test_hubs(catalogue, store, space):
    found = defaultdict(list)
    for _, n in links(catalogue, space):
        found[n.target].append(n)
    scores = Counter(score.architecture for score in catalogue.scores)
    expected = [
        {
            "architecture": id,
            "neighbours": len({n.source for n in near}),
            "mean_dissimilarity": fmean(n.dissimilarity for n in near),
            "scores": scores[id],
        }
        for id, near in found.items()
    ]
    expected.sort(key=lambda row: (-row["neighbours"], row["architecture"]))
    assert rounded(ask(store, "hubs", space=space)) == rounded(expected)
    every = {row["architecture"] for row in ask(store, "hubs", space=space, kernel="", limit=1_000)}
    assert every == {n.target for s, n in catalogue.neighbors if space in ("", s)}


def test_skip_connections(catalogue, store):
    for record in list(catalogue.records.values())[:4]:
        graph = nx.DiGraph(record.feeds)
        expected = []
        for source, target in sorted(record.feeds, key=lambda edge: (edge[1], edge[0])):
            graph.remove_edge(source, target)
            if nx.has_path(graph, source, target):
                ends = record.ops[source], record.ops[target]
                layer = ends[1].layer if ends[1].layer >= 0 else None
                expected.append((layer, ends[0].label, source, ends[1].label, target))
            graph.add_edge(source, target)
        assert expected
        assert [tuple(row.values()) for row in ask(store, "skip-connections", id=record.id)] == expected


def test_overlap(catalogue, store):
    shared = set(catalogue.spaces["left"]) & set(catalogue.spaces["right"])
    scored = {score.architecture for score in catalogue.scores}
    expected = [{"first": "left", "second": "right", "shared": len(shared), "scored": len(shared & scored)}]
    assert ask(store, "overlap") == expected


def test_lineage(catalogue, store):
    ids = list(catalogue.records)
    expected = [
        (["c", "b"], [ids[0], ids[1]], 0.5),
        (["x", "a"], [ids[0], ids[2]], 0.25),
        (["c", "b", "a"], [ids[0], ids[1], ids[2]], 0.4),
    ]
    assert [tuple(row.values()) for row in rounded(ask(store, "lineage", id=ids[0]))] == expected


@pytest.mark.parametrize("space", ["", "left"])
def test_improvements(catalogue, store, space):
    near: dict[frozenset[str], float] = {}
    for _, n in links(catalogue, space):
        pair = frozenset((n.source, n.target))
        near[pair] = min(n.dissimilarity, near.get(pair, 9.0))
    expected = []
    for kind, means in catalogue.means("mean").items():
        for pair, dissimilarity in near.items():
            if pair <= means.keys():
                worse, better = sorted(pair, key=lambda id: worth(kind, means[id]))
                gain = abs(means[better] - means[worse])
                row = (kind, worse, better, gain, dissimilarity)
                expected.append(dict(zip(saved_query("improvements").columns, row, strict=True)))
    expected.sort(key=lambda row: (-round(row["gain"], 9), row["worse"], row["better"]))
    found = ask(store, "improvements", space=space, limit=1000)
    found.sort(key=lambda row: (-round(row["gain"], 9), row["worse"], row["better"]))
    assert rounded(found) == rounded(expected)
    top = ask(store, "improvements", space=space, limit=1)
    assert [row["gain"] for row in top] == [pytest.approx(expected[0]["gain"])]


def test_every_saved_query_is_asked_here_and_explained():
    names = [query.name for query in saved_queries()]
    assert len(names) >= 12
    assert sorted(names) == sorted(TEXTS)
    assert [name for name in names if f"test_{name.replace('-', '_')}" not in globals()] == []
    for query in saved_queries():
        assert query.title
        assert query.explanation.endswith((".", "?"))
        assert all(meaning.endswith(".") for meaning in query.columns.values())
        assert all(f"${parameter.name}" in query.text for parameter in query.parameters), query.name
        for parameter in query.parameters:
            assert parameter.default is None or parameter.read(parameter.default) == parameter.default


def test_the_documentation_lists_them_all():
    text = (Path(__file__).resolve().parents[2] / "docs" / "cypher.md").read_text(encoding="utf-8")
    rows = [line for line in text.partition("## Saved queries")[2].splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{query.name}` | {query.title} | {query.explanation} | "
        f"{', '.join(parameter.name for parameter in query.parameters) or '–'} |"
        for query in saved_queries()
    ]


def test_the_documentation_names_what_is_in_the_graph(catalogue, store):
    text = (Path(__file__).resolve().parents[2] / "docs" / "cypher.md").read_text(encoding="utf-8")
    shown = text.partition("## Limits")[0]
    names = run_query(store, "MATCH (n) UNWIND labels(n) AS name RETURN collect(DISTINCT name)").rows[0][0]
    names += run_query(store, "MATCH ()-[r]->() RETURN collect(DISTINCT type(r))").rows[0][0]
    assert [name for name in names if name.removeprefix("Archex") not in shown] == []
    lines = {line.split("`")[1]: line for line in shown.splitlines() if line.startswith("| `")}
    for label in ("Architecture", "Layer", "Op", "Score", "Study", "Trial"):
        text = f"MATCH (n:{label}) UNWIND keys(n) AS name RETURN collect(DISTINCT name)"
        assert [name for name in run_query(store, text).rows[0][0] if name not in lines[label]] == []
