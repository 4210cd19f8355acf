"""Hypothesis strategies: small random catalogues, and queries with interesting results.

Values come from short lists, so that ties, gaps and values on a bound are common.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from graphstore.queries import (
    ANY,
    SOME,
    ArchitectureQuery,
    Condition,
    Fact,
    LayerRule,
    MeasurementKey,
    OpRule,
    Quantity,
    Range,
    Sort,
)
from graphstore.records import (
    ArchitectureRecord,
    LayerRecord,
    LineageRecord,
    MeasurementRecord,
    NeighborRecord,
    ScoreKind,
    ScoreRecord,
)
from graphstore.testing import samples
from graphstore.testing.oracle import Catalogue

Item = TypeVar("Item")

IDS = ("AAAAAA", "Zzzzzz", "aaaaaa", "aaaaab", "b_%'\"\\", "\u00e9t\u00e9s", "\uff5e-wave", "\U0001f600-face")
"""In the order of their code points, which is neither that of UTF-16 nor that of a language."""

SPACES = ("nano", "\u00e9tude's")
TASKS = ("SST-2", '\u00fcber"')
DEVICES, MEASURED = ("cpu", "\u00b5c"), ("latency_s", "memory")
KINDS = (
    ("accuracy", "d", "steps=5", "r'", "t"),
    ("accuracy", "d2", "steps=5", "r'", "t"),
    ("accuracy", "d", "steps=5", "r'", "\u00fcber t"),
    ("loss", "d", "steps=9", "r'", ""),
)
"""Metric, dataset, fidelity, recipe, origin."""
REALS = (0.1, 0.2, 0.3, 0.7, -0.0, 0.0, 1e16, -1e16, 1e-300)
"""Sums of these depend on the order in which they are added up."""

FACTS: dict[Fact, tuple[float, ...]] = {
    Fact.PARAMETERS: (10, 2**53, 2**53 + 1),
    Fact.FLOPS: (1, 2, 2**62 + 1),
    Fact.HETEROGENEITY: (-0.0, 0.0, 0.1, 0.3),
}
FAMILIES = (("sa", "sdp"), ("c", "5"), ("c", "5+9"), ("c+sa", "5+sdp"), ("c+l+sa", "5+dft+sdp"), ("sac", "15"))
WIDTHS = (16, 32, 64)
COUNTS = (0, 1, 1.5, 2, 3)


def _some(items: Sequence[Item], most: int) -> st.SearchStrategy[list[Item]]:
    """Up to ``most`` distinct items, in any order."""
    return st.lists(st.sampled_from(items), unique=True, max_size=most) if items else st.just([])


@st.composite
def _records(draw: st.DrawFn) -> list[ArchitectureRecord]:
    found = []
    for id in draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1, max_size=6)):
        layers = []
        for index in range(draw(st.integers(0, 3))):
            family, parameter = draw(st.sampled_from(FAMILIES))
            stack = tuple(draw(st.lists(st.sampled_from(WIDTHS), max_size=2)))
            hidden, heads = draw(st.sampled_from(WIDTHS)), draw(st.integers(1, 2))
            layers.append(LayerRecord(index, family, parameter, hidden, heads, stack))
        record = samples.architecture(layers, name=draw(st.sampled_from(("", "N"))))
        facts: dict[str, Any] = {fact.value: draw(st.sampled_from(values)) for fact, values in FACTS.items()}
        found.append(dataclasses.replace(record, id=id, **facts))
    return found


@st.composite
def _scores(draw: st.DrawFn, ids: Sequence[str]) -> list[ScoreRecord]:
    # Mostly one kind per task; with two, queries for the task are refused.
    kinds = {task: draw(st.sampled_from((KINDS[:1], KINDS[3:], KINDS))) for task in TASKS}
    found: dict[str, ScoreRecord] = {}
    for _ in range(draw(st.integers(0, 12))):
        task = draw(st.sampled_from(TASKS))
        metric, dataset, fidelity, recipe, origin = draw(st.sampled_from(kinds[task]))
        value, seed = draw(st.sampled_from(REALS)), draw(st.integers(0, 3))
        source = origin + draw(st.sampled_from(("", ":", f":{seed}", ":\u00e9:2")))
        levels = draw(st.sampled_from(((None, None), (0.5, None), (0.3, -0.1))))
        score = ScoreRecord(
            draw(st.sampled_from(ids)), task, metric, value, dataset, fidelity, recipe, seed, source, 0.0, *levels
        )  # fmt: skip
        found.setdefault(score.id, score)
    return list(found.values())


@st.composite
def _neighbors(draw: st.DrawFn, ids: Sequence[str]) -> list[NeighborRecord]:
    found = []
    for source in draw(_some(ids, 2)):
        others = [id for id in ids if id != source]
        for rank, target in enumerate(draw(_some(others, 3)), start=1):
            found.append(NeighborRecord(source, target, "wl", rank, rank / 8))
    return found


@st.composite
def _lineage(draw: st.DrawFn, ids: Sequence[str]) -> list[LineageRecord]:
    # May contain cycles, which a store must handle.
    runs = {f"trained:\u00e9/{number}": draw(st.sampled_from(ids)) for number in range(5)}
    pairs = draw(_some([(run, donor) for run in runs for donor in runs if run != donor], 6))
    shares = draw(st.lists(st.sampled_from((0, 0.5, 1)), min_size=len(pairs), max_size=len(pairs)))
    return [
        LineageRecord(run, runs[run], donor, runs[donor], "ordered", share)
        for (run, donor), share in zip(pairs, shares, strict=True)
    ]


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """A catalogue of up to six architectures in two spaces that share some of them."""
    records = draw(_records())
    cut, overlap = draw(st.integers(1, len(records))), draw(st.integers(0, 2))
    spaces = {SPACES[0]: records[:cut], SPACES[1]: list(reversed(records[max(cut - overlap, 0) :]))}
    ids = [record.id for record in records]
    measured = draw(_some([(id, device, name) for id in ids for device in DEVICES for name in MEASURED], 10))
    vectors, neighbors = {}, {}
    point = st.tuples(*[st.integers(-2, 2).map(float)] * 3)
    for space, held in spaces.items():
        members = [record.id for record in held]
        vectors[space] = {id: draw(point) for id in members if draw(st.integers(0, 3))}
        if found := draw(_neighbors(members)):
            neighbors[space] = found
    return Catalogue(
        spaces,
        scores=draw(_scores(ids)),
        measurements=[MeasurementRecord(*key, draw(st.sampled_from(REALS)), "u") for key in measured],
        vectors={space: found for space, found in vectors.items() if found},
        neighbors=neighbors,
        trials={"study": draw(_some(ids, 4))},
        lineage=draw(_lineage(ids)),
    )


def ranges(values: Sequence[float]) -> st.SearchStrategy[Range]:
    """A range whose ends are among the values, or open."""
    ends = st.lists(st.sampled_from(values), min_size=2, max_size=2).map(sorted)
    both = ends.map(lambda pair: Range(pair[0], pair[1]))
    one = st.sampled_from(values)
    return st.one_of(st.just(ANY), one.map(lambda end: Range(end)), one.map(lambda end: Range(at_most=end)), both)


def _maybe(values: Sequence[Item]) -> st.SearchStrategy[Item | None]:
    return st.one_of(st.none(), st.sampled_from(values))


def score_keys() -> st.SearchStrategy[ScoreKind]:
    """A task, often with more of a kind's fields."""
    tasks, kinds = st.sampled_from(TASKS), st.sampled_from(KINDS)
    return st.one_of(
        tasks.map(ScoreKind),
        st.builds(lambda task, kind: ScoreKind(task, *kind), tasks, kinds),
        st.builds(lambda task, kind: ScoreKind(task, metric=kind[0], dataset=kind[1]), tasks, kinds),
        st.builds(lambda task, kind: ScoreKind(task, fidelity=kind[2], recipe=kind[3]), tasks, kinds),
        st.builds(lambda task, kind: ScoreKind(task, origin=kind[4]), tasks, kinds),
    )


def quantities() -> st.SearchStrategy[Quantity]:
    """A fact, a score or a measurement."""
    measured = st.builds(MeasurementKey, st.sampled_from(DEVICES), st.sampled_from(MEASURED))
    return st.one_of(st.sampled_from(Fact), score_keys(), measured)


def _conditions() -> st.SearchStrategy[Condition]:
    def of(quantity: Quantity) -> st.SearchStrategy[Condition]:
        ends = (*FACTS.get(quantity, COUNTS), 2.5) if isinstance(quantity, Fact) else (*REALS, 0.15)
        return ranges(ends).map(lambda range: Condition(quantity, range))

    return quantities().flatmap(of)


@st.composite
def layer_rules(draw: st.DrawFn) -> LayerRule:
    """A rule with a few of its fields set."""
    named = draw(
        st.sampled_from((None, *FAMILIES, ("sa+c", None), ("c", None), ("l", "dft"), (None, "sdp"), ("C", ".")))
    )
    family, parameter = named or (None, None)
    position = draw(st.sampled_from((None, None, 0, 1, -1, -2, 7)))
    open_or = [draw(st.one_of(st.just(ANY), ranges((*WIDTHS, 40.5)))) for _ in range(2)]
    return LayerRule(
        position=position,
        family=family,
        parameter=parameter,
        pure=draw(st.booleans()),
        hidden=open_or[0],
        heads=draw(st.sampled_from((ANY, ANY, Range(2), Range(at_most=1)))),
        feed_forward=open_or[1],
        feed_forward_depth=draw(st.sampled_from((ANY, ANY, Range(1), Range(at_most=1), Range(2, 2)))),
        count=SOME if position is not None else draw(st.one_of(st.just(SOME), ranges(COUNTS))),
    )


def op_rules() -> st.SearchStrategy[OpRule]:
    """A rule for a kind, a label, both or none."""
    kinds = _maybe(("input", "head", "add_norm", "feed_forward", "none"))
    labels = _maybe(("c_*", "c*", "*", "C_*", "ff_16", "ff_%*", "add_norm", "f?_16"))
    return st.builds(OpRule, kinds, labels, st.one_of(st.just(SOME), ranges((0, 1, 2, 3.5, 5))))


def sorts() -> st.SearchStrategy[tuple[Sort, ...]]:
    """Up to three keys."""
    return st.lists(st.builds(Sort, quantities(), st.booleans()), max_size=3).map(tuple)


def questions() -> st.SearchStrategy[ArchitectureQuery]:
    """A query in which most parts are left out."""
    return st.builds(
        ArchitectureQuery,
        space=_maybe(SPACES),
        layers=st.lists(layer_rules(), max_size=2).map(tuple),
        ops=st.lists(op_rules(), max_size=1).map(tuple),
        conditions=st.lists(_conditions(), max_size=2).map(tuple),
        sort=sorts(),
        limit=st.sampled_from((None, None, 50, 0, 1, 2)),
        offset=st.sampled_from((0, 0, 0, 1, 3)),
    )
