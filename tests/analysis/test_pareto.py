"""The Pareto set of a query's architectures, against the definition."""

import dataclasses
import random

import pytest

from explorer.analysis.pareto import pareto_front, pareto_objectives
from explorer.errors import InputError
from graphstore import open_store
from graphstore.errors import StoreInputError
from graphstore.queries import ArchitectureQuery, Condition, Fact, MeasurementKey, Range, Sort
from graphstore.records import MeasurementRecord, ScoreKind
from graphstore.testing import samples

TASK = ScoreKind("SST-2")
BEST_AND_SMALL = [Sort(TASK, descending=True), Sort(Fact.PARAMETERS)]


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        opened.put_space(samples.space("nano"))
        yield opened


def put(store, sizes, scores):
    base = samples.random_architecture(random.Random(0))
    store.add_architectures("nano", [dataclasses.replace(base, id=id, parameters=n) for id, n in sizes.items()])
    store.add_scores([samples.score(id, value=value) for id, value in scores.items()])


def ids(front):
    return [found.summary.id for found in front.members]


def test_weakly_dominated_points_are_left_out_and_equal_ones_stay(store):
    put(
        store,
        {"small": 1, "weakly": 2, "twin": 3, "twin2": 3, "unscored": 1},
        {"small": 0.2, "weakly": 0.2, "twin": 0.6, "twin2": 0.6},
    )
    front = pareto_front(store, ArchitectureQuery("nano", limit=1, offset=2), BEST_AND_SMALL)
    assert ids(front) == ["twin", "twin2", "small"]
    assert front.quantities == (TASK,)
    assert [found.values for found in front.members] == [(0.6,), (0.6,), (0.2,)]
    assert front.values == ((0.6, 3), (0.6, 3), (0.2, 1), (0.2, 2))
    small = ArchitectureQuery("nano", conditions=(Condition(Fact.PARAMETERS, Range(at_most=2)),))
    assert ids(pareto_front(store, small, BEST_AND_SMALL)) == ["small"]


def test_integers_that_floats_cannot_tell_apart_differ(store):
    put(store, {"a": 2**53, "b": 2**53 + 1}, {})
    assert ids(pareto_front(store, ArchitectureQuery(), [Sort(Fact.PARAMETERS, descending=True)])) == ["b"]


@pytest.mark.parametrize("seed", range(20))
def test_the_set_is_that_of_the_definition(store, seed):
    draw = random.Random(seed)
    sizes = {f"a{n}": draw.randint(1, 6) for n in range(25)}
    scores = {id: draw.randint(0, 5) / 8 for id in sizes if draw.random() < 0.8}
    put(store, sizes, scores)

    def dominated(id):
        return any(
            scores[other] >= scores[id]
            and sizes[other] <= sizes[id]
            and (scores[other] > scores[id] or sizes[other] < sizes[id])
            for other in scores
        )

    front = pareto_front(store, ArchitectureQuery("nano"), BEST_AND_SMALL)
    assert sorted(ids(front)) == sorted(id for id in scores if not dominated(id))
    assert sorted(found.summary.id for found in front.rows) == sorted(scores)


def test_an_empty_store_has_an_empty_front(store):
    assert pareto_front(store, ArchitectureQuery(), [Sort(TASK)]).members == []


def test_no_objective_and_several_score_kinds_are_refused(store):
    with pytest.raises(InputError, match="objectives must name one quantity"):
        pareto_front(store, ArchitectureQuery(), [])
    put(store, {"a": 1, "b": 2}, {"a": 0.5})
    store.add_scores([dataclasses.replace(samples.score("b", value=0.7), dataset="other")])
    with pytest.raises(StoreInputError, match="comparable"):
        pareto_front(store, ArchitectureQuery("nano"), [Sort(TASK)])


def test_objectives_are_read_by_their_natural_direction_or_the_given_one(store):
    put(store, {"a": 1, "b": 2}, {"a": 0.5, "b": 0.6})
    store.add_scores([dataclasses.replace(samples.score("a", value=9.0), task="lm", metric="perplexity")])
    store.add_measurements(
        [
            MeasurementRecord("a", "raspberry pi", "latency", 0.5, "s"),
            MeasurementRecord("a", "raspberry pi", "throughput", 7.0, "tokens/s"),
        ]
    )

    def read(*texts):
        found = pareto_objectives(store, "nano", texts, {})
        return [(getattr(one.quantity, "task", one.quantity), one.descending) for one in found]

    board = MeasurementKey("raspberry pi", "latency")
    assert read("SST-2", "lm", "parameters") == [("SST-2", True), ("lm", False), (Fact.PARAMETERS, False)]
    assert read("latency@pi", "throughput@pi") == [(board, False), (MeasurementKey("raspberry pi", "throughput"), True)]
    assert read("minimise:SST-2", "maximise:parameters", "-depth") == [
        ("SST-2", False),
        (Fact.PARAMETERS, True),
        (Fact.DEPTH, True),
    ]
    with pytest.raises(InputError, match="a task with scores in space nano"):
        read("CoLA")
