"""Laws of typed queries, case by case."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import pytest

from graphstore.contract import GraphStore
from graphstore.errors import NotFoundError, StoreInputError
from graphstore.queries import ArchitectureQuery, Best, Condition, Fact, LayerRule, MeasurementKey, OpRule, Range, Sort
from graphstore.records import ArchitectureRecord, LayerRecord, MeasurementRecord, ScoreKind, ScoreRecord
from graphstore.testing import samples

TASK = ScoreKind("SST-2")
LATENCY = MeasurementKey("cpu", "latency_s")


def put(store: GraphStore, **stacks: Sequence[tuple[str, str]]) -> list[ArchitectureRecord]:
    """Put architectures by id into space ``nano``, given family and parameter of each layer; sizes follow the order."""
    records = []
    for number, (id, stack) in enumerate(stacks.items(), start=1):
        layers = [LayerRecord(index, *operation, 32, 2, (64, 128)) for index, operation in enumerate(stack)]
        record = samples.architecture(layers, parameters=1000 * number)
        records.append(dataclasses.replace(record, id=id, flops=10 - number, heterogeneity=number / 8))
    store.put_space(samples.space())
    store.add_architectures("nano", records)
    return records


def ids(store: GraphStore, query: ArchitectureQuery) -> list[str]:
    """Ids of what a query finds, of which there must be as many as it says."""
    page = store.find(query)
    if query.limit is None and not query.offset:
        assert page.total == len(page.rows)
    return [found.summary.id for found in page.rows]


def with_layer(store: GraphStore, rule: LayerRule) -> list[str]:
    """Ids of the architectures with such layers."""
    return ids(store, ArchitectureQuery("nano", layers=(rule,), limit=None))


class QueryLaws:
    """``find`` and ``best_per_task``, case by case."""

    def test_nothing_is_found_in_an_empty_store(self, store: GraphStore) -> None:
        """No answer is an answer; an unknown space is none."""
        page = store.find(ArchitectureQuery(conditions=(Condition(TASK),)))
        assert (page.total, page.rows, store.best_per_task(), store.lineage()) == (0, (), [], [])
        with pytest.raises(NotFoundError, match="space"):
            store.find(ArchitectureQuery("weather"))
        with pytest.raises(NotFoundError, match="space"):
            store.best_per_task("weather")

    def test_rules_for_layers(self, store: GraphStore) -> None:
        """Each field of a layer rule."""
        put(
            store,
            a=[("sa", "sdp"), ("c", "5")],
            b=[("c", "5"), ("sa", "wma"), ("c", "9")],
            m=[("c+sa", "5+sdp")],
            x=[("c+l+sa", "5+dft+wma")],
            z=[("sac", "15")],
        )
        assert with_layer(store, LayerRule()) == ["a", "b", "m", "x", "z"]
        assert with_layer(store, LayerRule(family="c")) == ["a", "b", "m", "x"]
        assert with_layer(store, LayerRule(family="c", pure=True)) == ["a", "b"]
        assert with_layer(store, LayerRule(family="sa+c")) == ["m", "x"]
        assert with_layer(store, LayerRule(family="sa+c", pure=True)) == ["m"]
        assert with_layer(store, LayerRule(parameter="5")) == ["a", "b", "m", "x"]
        assert with_layer(store, LayerRule(family="c", parameter="9")) == ["b"]
        assert with_layer(store, LayerRule(family="C")) == []
        assert with_layer(store, LayerRule(position=-1, family="c")) == ["a", "b", "m", "x"]
        assert with_layer(store, LayerRule(position=0, family="sa", pure=True)) == ["a"]
        assert with_layer(store, LayerRule(position=-2)) == ["a", "b"]
        assert with_layer(store, LayerRule(position=2)) == ["b"]
        assert with_layer(store, LayerRule(family="c", count=Range(2))) == ["b"]
        assert with_layer(store, LayerRule(family="c", pure=True, count=Range(at_most=0))) == ["m", "x", "z"]
        assert with_layer(store, LayerRule(count=Range(1.5, 2.5))) == ["a"]

    def test_rules_for_sizes_of_layers(self, store: GraphStore) -> None:
        """Hidden size, heads and feed-forward stack."""
        layers = {
            "p": LayerRecord(0, "sa", "sdp", 32, 2, (64,)),
            "q": LayerRecord(0, "sa", "sdp", 64, 4, (64, 256)),
            "r": LayerRecord(0, "sa", "sdp", 128, 8, ()),
        }
        store.put_space(samples.space())
        records = [dataclasses.replace(samples.architecture([layer]), id=id) for id, layer in layers.items()]
        store.add_architectures("nano", records)
        assert with_layer(store, LayerRule(hidden=Range(64))) == ["q", "r"]
        assert with_layer(store, LayerRule(hidden=Range(33, 127.5))) == ["q"]
        assert with_layer(store, LayerRule(heads=Range(at_most=4))) == ["p", "q"]
        assert with_layer(store, LayerRule(feed_forward=Range(at_most=64))) == ["p", "r"]
        assert with_layer(store, LayerRule(feed_forward=Range(at_least=65))) == ["r"]
        assert with_layer(store, LayerRule(feed_forward_depth=Range(2))) == ["q"]
        assert with_layer(store, LayerRule(feed_forward_depth=Range(at_most=0))) == ["r"]

    def test_rules_for_operations(self, store: GraphStore) -> None:
        """Kind, label, beginning of a label, and how many; input and output count too."""
        put(store, a=[("sa", "sdp")], b=[("c", "5")], d=[("c", "5"), ("c", "5")], e=[("c+sa", "5+sdp")])

        def found(rule: OpRule) -> list[str]:
            return ids(store, ArchitectureQuery("nano", ops=(rule,), limit=None))

        assert found(OpRule("head", "c_*")) == ["b", "d"]
        assert found(OpRule("head", "c*")) == ["b", "d", "e"]
        assert found(OpRule(label="c_h32_5", count=Range(3))) == ["d"]
        assert found(OpRule("add_norm", count=Range(at_most=2))) == ["a", "b", "e"]
        assert found(OpRule("input", count=Range(1, 1))) == ["a", "b", "d", "e"]
        assert found(OpRule(count=Range(9))) == ["d"]
        assert found(OpRule(label="C_*")) == found(OpRule(label="c_h32_")) == found(OpRule(label="c%*")) == []

    def test_conditions_and_order(self, store: GraphStore) -> None:
        """Facts, scores and measurements bound and order; what is not known comes last, ties go by id."""
        names = [r.id for r in put(store, a=[], b=[("c", "5")], d=[], e=[], g=[])]
        values = {"a": [0.5], "b": [0.9, 0.7], "d": [0.8]}
        store.add_scores(
            [samples.score(id, value=v, seed=s) for id, found in values.items() for s, v in enumerate(found)]
        )
        store.add_measurements([MeasurementRecord(id, "cpu", "latency_s", 2.0, "s") for id in ("e", "d")])

        def found(*conditions: Condition, sort: Sequence[Sort] = ()) -> list[str]:
            return ids(store, ArchitectureQuery("nano", conditions=conditions, sort=tuple(sort), limit=None))

        assert found(sort=[Sort(TASK)]) == ["a", "b", "d", "e", "g"]
        assert found(sort=[Sort(TASK, descending=True)]) == ["b", "d", "a", "e", "g"]
        assert found(sort=[Sort(TASK, True), Sort(Fact.PARAMETERS, True)]) == ["d", "b", "a", "g", "e"]
        assert found(sort=[Sort(LATENCY), Sort(Fact.FLOPS)]) == ["e", "d", "g", "b", "a"]
        assert found(sort=[Sort(LATENCY, True)]) == ["d", "e", "a", "b", "g"]
        assert found(Condition(TASK)) == ["a", "b", "d"]
        assert found(Condition(TASK, Range(0.8))) == ["b", "d"]
        assert found(Condition(TASK), Condition(LATENCY)) == ["d"]
        assert found(Condition(TASK, Range(0.6)), Condition(TASK, Range(at_most=0.7))) == []
        assert found(Condition(Fact.PARAMETERS, Range(1000.5, 3000))) == ["b", "d"]
        assert found(Condition(Fact.FLOPS, Range(at_most=6.9))) == ["e", "g"]
        assert found(Condition(Fact.HETEROGENEITY, Range(3 / 8, 3 / 8))) == ["d"]
        assert found(Condition(Fact.DEPTH, Range(1))) == ["b"]
        assert found(Condition(Fact.DEPTH, Range(at_least=1e30))) == []
        assert found(Condition(Fact.DEPTH, Range(-1e30, 1e30))) == names

    def test_values_and_pages(self, store: GraphStore) -> None:
        """Values come with what was found; limit and offset cut, and the total stays."""
        put(store, a=[], b=[], d=[])
        store.add_scores([samples.score("b", value=v, seed=s) for s, v in enumerate((0.3, 0.1, 0.2))])
        query = ArchitectureQuery(conditions=(Condition(Fact.DEPTH),), sort=(Sort(LATENCY), Sort(TASK), Sort(LATENCY)))
        assert query.quantities == (LATENCY, TASK)
        page = store.find(query)
        assert [found.summary for found in page.rows] == store.summaries(ids=["b", "a", "d"])
        assert [found.values for found in page.rows] == [(None, (0.1 + 0.2 + 0.3) / 3), (None, None), (None, None)]
        for limit, offset, names in ((2, 0, "ba"), (1, 1, "a"), (5, 2, "d"), (None, 1, "ad"), (0, 0, ""), (2, 3, "")):
            page = store.find(dataclasses.replace(query, limit=limit, offset=offset))
            assert page.total == 3
            assert "".join(found.summary.id for found in page.rows) == names

    def test_mean_does_not_depend_on_order(self, store: GraphStore) -> None:
        """Values of several seeds are added up in ascending order, however they were written."""
        put(store, a=[])
        values = [0.1, 1e15, 0.7, -3e15, 0.2, 0.4]
        orders = (values, sorted(values), sorted(values, reverse=True))
        # Not sum(), which compensates rounding errors from Python 3.12 on.
        assert len({functools.reduce(operator.add, order) for order in orders}) == 3
        store.add_scores([samples.score("a", value=value, seed=seed) for seed, value in enumerate(values)])
        expected = (((((-3e15 + 0.1) + 0.2) + 0.4) + 0.7) + 1e15) / 6
        (found,) = store.find(ArchitectureQuery(sort=(Sort(TASK),))).rows
        assert found.values == (expected,)
        assert store.find(ArchitectureQuery(conditions=(Condition(TASK),))).rows[0].values == (expected,)
        assert store.best_per_task()[0].value == expected

    def test_whole_numbers_are_exact(self, store: GraphStore) -> None:
        """Sizes beyond what a float can tell apart stay apart; a negative zero is a zero."""
        records = put(store, a=[], b=[])
        large = [dataclasses.replace(r, id=r.id * 2, parameters=2**53 + n) for n, r in enumerate(records)]
        store.add_architectures("nano", large)
        store.add_measurements(
            [MeasurementRecord(id, "cpu", "latency_s", v, "s") for id, v in (("a", 0.0), ("b", -0.0))]
        )
        above = Condition(Fact.PARAMETERS, Range(at_least=2**53 + 1))
        assert ids(store, ArchitectureQuery(conditions=(above,))) == ["bb"]
        assert ids(store, ArchitectureQuery(sort=(Sort(Fact.PARAMETERS, True),), limit=1)) == ["bb"]
        for zero in (0.0, -0.0):
            assert ids(store, ArchitectureQuery(conditions=(Condition(LATENCY, Range(zero, zero)),))) == ["a", "b"]
        assert ids(store, ArchitectureQuery(sort=(Sort(LATENCY),), limit=2)) == ["a", "b"]

    def test_ids_order_by_code_points(self, store: GraphStore) -> None:
        """Ids are ordered by code points, not by a language or UTF-16."""
        names = ["B", "a", "\u00e9", "\uff5e", "\U0001f600"]
        put(store, **{name: [] for name in reversed(names)})
        assert ids(store, ArchitectureQuery("nano")) == names
        assert ids(store, ArchitectureQuery(sort=(Sort(TASK, descending=True),))) == names

    def test_scores_of_several_kinds(self, store: GraphStore) -> None:
        """They are refused, and the error says how to choose; another space's scores do not matter."""
        records = put(store, a=[], b=[])
        store.put_space(samples.space("other"))
        store.add_architectures("other", records[:1])
        base = samples.score("a", value=0.5)
        other = dataclasses.replace(base, architecture="b", dataset="data-2", value=0.7)
        store.add_scores([base, other])
        condition, sort = (Condition(TASK, Range(at_most=0.6)),), (Sort(TASK),)
        for query in (ArchitectureQuery("nano", conditions=condition), ArchitectureQuery(sort=sort)):
            with pytest.raises(StoreInputError, match=r"(?s)'data'.*'data-2'.*by dataset\."):
                store.find(query)
        assert ids(store, ArchitectureQuery("other", sort=sort, conditions=condition)) == ["a"]
        named = ScoreKind("SST-2", dataset="data-2")
        assert ids(store, ArchitectureQuery("nano", conditions=(Condition(named),))) == ["b"]
        for field, value in (("metric", "f1"), ("fidelity", "steps=9"), ("recipe", "long")):
            changed: dict[str, Any] = {field: value}
            plain = dataclasses.replace(base, task=field)
            store.add_scores([plain, dataclasses.replace(plain, **changed)])
            with pytest.raises(StoreInputError, match=f"by {field}"):
                store.find(ArchitectureQuery("other", sort=(Sort(ScoreKind(field)),)))
            chosen = store.find(ArchitectureQuery("other", sort=(Sort(ScoreKind(field, **changed)),)))
            assert chosen.rows[0].values == (0.5,)

    def test_values_of_several_origins_are_never_averaged(self, store: GraphStore) -> None:
        """A wrong import and its correction stay two series, whatever rows, seeds and colons their sources have."""
        put(store, a=[], b=[])
        wrong, right = {"a": 0.0083, "b": 0.0086}, {"a": 0.83, "b": 0.86}
        for place, id in enumerate("ab"):
            scores = [samples.score(id, value=wrong[id], source=f"percent:{place}")]
            scores += [samples.score(id, value=right[id], seed=n, source=f"fractions:{place}:{n}") for n in (1, 2)]
            assert store.add_scores(scores) == 3
        wanted = ScoreKind("SST-2", "accuracy", "data", "steps=5", "recipe")
        best = [
            Best(dataclasses.replace(wanted, origin="fractions"), "b", 0.86, 2),
            Best(dataclasses.replace(wanted, origin="percent"), "b", 0.0086, 2),
        ]
        assert store.best_per_task() == store.best_per_task("nano") == best
        for query in (
            ArchitectureQuery(sort=(Sort(TASK),)),
            ArchitectureQuery("nano", conditions=(Condition(wanted),)),
        ):
            with pytest.raises(StoreInputError, match=r"(?s)'fractions'.*'percent'.*by origin\."):
                store.find(query)
        for origin, values in (("percent", wrong), ("fractions", right)):
            named = ScoreKind("SST-2", origin=origin)
            for query in (
                ArchitectureQuery("nano", sort=(Sort(named),)),
                ArchitectureQuery(conditions=(Condition(named),)),
            ):
                assert {found.summary.id: found.values for found in store.find(query).rows} == {
                    id: (value,) for id, value in values.items()
                }
        assert store.find(ArchitectureQuery(conditions=(Condition(ScoreKind("SST-2", origin="perc")),))).total == 0

    def test_best_per_task(self, store: GraphStore) -> None:
        """The best mean of each kind; of a loss the smallest; ties by id."""
        records = put(store, a=[], b=[], d=[])
        store.put_space(samples.space("other"))
        store.add_architectures("other", records[:2])
        scores = [samples.score("d", value=0.9), samples.score("b", value=0.9), samples.score("a", value=0.5)]
        scores += [samples.score("b", value=0.9, seed=2), samples.score("a", task="CoLA", value=1)]
        loss = [dataclasses.replace(samples.score(id, value=v), metric="loss") for id, v in (("a", 3.0), ("b", 2.5))]
        store.add_scores([*scores, *loss])
        kind = ("data", "steps=5", "recipe", "t")
        expected = [
            Best(ScoreKind("CoLA", "accuracy", *kind), "a", 1.0, 1),
            Best(ScoreKind("SST-2", "accuracy", *kind), "b", 0.9, 3),
            Best(ScoreKind("SST-2", "loss", *kind), "b", 2.5, 2),
        ]
        assert store.best_per_task() == store.best_per_task("nano") == expected
        assert store.best_per_task("other") == [expected[0], dataclasses.replace(expected[1], scored=2), expected[2]]

    def test_what_users_write_stays_a_value(self, store: GraphStore) -> None:
        """Quotes, wildcards and backticks in names are letters like others."""
        (record,) = put(store, a=[("c", "5")])
        nasty = "'\"`\\%_*}{$p0:p1 -- //"
        store.put_space(samples.space(nasty))
        store.add_architectures(nasty, [record])
        store.add_scores([ScoreRecord("a", nasty, nasty, 0.5, nasty, nasty, nasty, 0, nasty)])
        store.add_measurements([MeasurementRecord("a", nasty, nasty, 1.0, "s")])
        key = ScoreKind(nasty, nasty, nasty, nasty, nasty)
        query = ArchitectureQuery(nasty, conditions=(Condition(key), Condition(MeasurementKey(nasty, nasty))))
        assert [found.values for found in store.find(query).rows] == [(0.5, 1.0)]
        assert store.best_per_task(nasty)[0].kind.task == nasty
        for rule in (LayerRule(family=nasty), LayerRule(parameter="%", position=0)):
            assert with_layer(store, rule) == []
        assert ids(store, ArchitectureQuery(ops=(OpRule(nasty, nasty + "*"),))) == []
