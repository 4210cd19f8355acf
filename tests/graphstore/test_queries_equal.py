"""Both engines hold the same catalogue and give the same answers, compared with each other directly."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from explorer.analysis.pareto import pareto_front
from graphstore import open_store
from graphstore.queries import ArchitectureQuery, Condition, Fact, LayerRule, MeasurementKey, OpRule, Range, Sort
from graphstore.records import LineageRecord, MeasurementRecord, ScoreKind
from graphstore.testing import samples
from graphstore.testing.oracle import Catalogue, fill

pytestmark = pytest.mark.neo4j

SST, COLA, LATENCY = ScoreKind("SST-2"), ScoreKind("CoLA"), MeasurementKey("cpu", "latency_s")

QUERIES = {
    "conv-last": ArchitectureQuery(
        "nano",
        layers=(LayerRule(position=-1, family="c"),),
        conditions=(Condition(Fact.PARAMETERS, Range(at_most=8e8)), Condition(SST, Range(at_least=0.4))),
        sort=(Sort(SST, descending=True),),
    ),
    "all-by-score": ArchitectureQuery(sort=(Sort(COLA, descending=True), Sort(LATENCY), Sort(SST)), limit=None),
    "page": ArchitectureQuery("other", sort=(Sort(Fact.HETEROGENEITY), Sort(LATENCY, True)), limit=7, offset=5),
    "ops": ArchitectureQuery(ops=(OpRule("head", "sa_*", Range(2, 6)), OpRule("feed_forward")), limit=None),
    "both-scores": ArchitectureQuery(conditions=(Condition(COLA), Condition(SST, Range(at_most=0.6))), limit=None),
}


def catalogue() -> Catalogue:
    """Forty architectures in two spaces that overlap; some scored by several seeds, some measured."""
    rng = random.Random(5)
    records = samples.architectures(40, seed=5)
    scored = [
        samples.score(record.id, task, value=rng.random(), seed=seed)
        for task in ("SST-2", "CoLA")
        for record in rng.sample(records, 25)
        for seed in range(rng.randint(1, 5))
    ]
    measured = [MeasurementRecord(r.id, "cpu", "latency_s", rng.choice((0.1, 0.2)), "s") for r in records[::3]]
    lineage = [
        LineageRecord(f"t/{number}", records[number].id, f"t/{number // 2}", records[number // 2].id, "ordered", 0.5)
        for number in range(1, 12)
    ]
    return Catalogue({"nano": records[:30], "other": records[20:]}, scored, measured, lineage=lineage)


def test_engines_agree(server, neo4j_url: str, tmp_path: Path):
    given = catalogue()
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as embedded, open_store(neo4j_url) as remote:
        fill(embedded, given)
        fill(remote, given)
        for name, query in QUERIES.items():
            page = embedded.find(query)
            assert page.rows, name
            assert remote.find(query) == page, name
        objectives = [Sort(SST, descending=True), Sort(Fact.PARAMETERS), Sort(COLA, descending=True)]
        answer = pareto_front(embedded, ArchitectureQuery("nano"), objectives)
        assert len(answer.front) > 1
        assert pareto_front(remote, ArchitectureQuery("nano"), objectives) == answer
        for space in (None, "nano", "other"):
            assert remote.best_per_task(space) == embedded.best_per_task(space)
        for id in (None, given.lineage[-1].architecture):
            assert remote.lineage(id) == embedded.lineage(id)
