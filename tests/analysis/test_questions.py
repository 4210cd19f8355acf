"""From a user's words to typed questions: what is understood, what is refused, and what the answers say."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.questions import (
    QuestionTexts,
    build_query,
    parse_layer_rule,
    parse_measurement,
    parse_op_rule,
    parse_score,
    parse_sort,
    resolve_query,
)
from explorer.analysis.ranges import format_ends, parse_range
from explorer.errors import InputError
from explorer.library.library import Library
from explorer.progress import SilentReporter
from explorer.space.grammar import load_space
from graphstore import open_store
from graphstore.queries import SOME, Condition, Fact, LayerRule, MeasurementKey, OpRule, Range, Sort
from graphstore.records import MeasurementRecord, ScoreKind, ScoreRecord

BELOW, ABOVE = math.nextafter(0.8, 0), math.nextafter(0.8, 1)

RANGES = {
    "<=10M": (None, 10_000_000),
    "≤ 10 m": (None, 10_000_000),
    ">=1.1K": (1100, None),
    "1.5G..2G": (1_500_000_000, 2_000_000_000),
    "=2..4": (2, 4),
    "2 ..": (2, None),
    "..4": (None, 4),
    ">=2 <=4": (2, 4),
    ">=2, <=4": (2, 4),
    "7": (7, 7),
    "==7": (7, 7),
    "1_000": (1000, 1000),
    "<1e3": (None, 999),
    ">7": (8, None),
    "<10.5": (None, 10),
    ">10.5": (11, None),
    "1T": (10**12, 10**12),
    "1b": (10**9, 10**9),
    "2~4": (2, 4),
    "~4K": (None, 4000),
    "2~": (2, None),
}


@pytest.mark.parametrize("text", RANGES)
def test_ranges_of_whole_numbers(text):
    assert parse_range("size", text, whole=True) == Range(*RANGES[text])


@pytest.mark.parametrize(
    ("text", "ends"),
    [("<0.8", (None, BELOW)), (">0.8", (ABOVE, None)), (">=0.8", (0.8, None)), ("0.1..0.8", (0.1, 0.8))],
)
def test_ranges_of_real_numbers(text, ends):
    assert parse_range("score", text) == Range(*ends)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_strict_ends_hold_exactly_what_they_say(value, end):
    for whole in (True, False):
        assert parse_range("size", f"<{end}", whole).holds(value) is (value < end)
        assert parse_range("size", f">{end}", whole).holds(value) is (value > end)


@pytest.mark.parametrize("text", ["0,5", "<=0,5", "0,5..1", "1,000", ">=1,000K"])
def test_a_comma_in_a_number_is_refused_with_the_way_to_write_it(text):
    with pytest.raises(InputError, match="Write a decimal point"):
        parse_range("size", text)


@given(st.tuples(st.none() | st.floats(-1e15, 1e15).map(lambda x: float(f"{x:.15g}")), st.just(None) | st.just(2e15)))
def test_the_text_of_a_range_is_read_back(ends):
    if ends != (None, None):
        found = parse_range("size", format_ends(ends))
        assert (found.at_least, found.at_most) == ends


@pytest.mark.parametrize(
    "text",
    ["", "ten", "<", "<=", "10X", "1..2..3", "5..2", ">5 <3", "<=10M x", "10,5", "1e9999", "nan", ">>3", "..", "="],
)
def test_what_is_no_range(text):
    with pytest.raises(InputError, match="size"):
        parse_range("size", text)


LAYERS = {
    "last family=c": LayerRule(-1, "c"),
    "last c": LayerRule(-1, "c"),
    "first op=c_5": LayerRule(0, "c", "5"),
    "first layer sa_sdp": LayerRule(0, "sa", "sdp"),
    "-2 parameter=dft": LayerRule(-2, parameter="dft"),
    "3 family=sa+c pure": LayerRule(3, "c+sa", pure=True),
    "any hidden>=256 count>=2": LayerRule(hidden=Range(256), count=Range(2)),
    "any hidden >= 256 , count >= 2": LayerRule(hidden=Range(256), count=Range(2)),
    "hidden>64 hidden<=256": LayerRule(hidden=Range(65, 256)),
    "hidden >64 <=256": LayerRule(hidden=Range(65, 256)),
    "heads 2..4 and ff=1K": LayerRule(heads=Range(2, 4), feed_forward=Range(1000, 1000)),
    "none ff_depth>1": LayerRule(feed_forward_depth=Range(2), count=Range(0, 0)),
    "any c count=0..1": LayerRule(family="c", count=Range(0, 1)),
    "feed-forward<=512 feed-forward-depth=3": LayerRule(feed_forward=Range(None, 512), feed_forward_depth=Range(3, 3)),
}


@pytest.mark.parametrize("text", LAYERS)
def test_layer_rules(text):
    assert parse_layer_rule(text) == LAYERS[text]


def test_all_layers_need_an_exact_depth():
    texts = QuestionTexts(layers=["all family=c"], depth="=4")
    assert build_query(texts).layers == (LayerRule(family="c", count=Range(4, 4)),)
    for depth in ("", "2..4"):
        with pytest.raises(InputError, match="exact depth"):
            build_query(QuestionTexts(layers=["all family=c"], depth=depth))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "last",
        "any count>=2",
        "family",
        "family=x",
        "family!=c",
        "family>=c",
        "parameter=fast",
        "last family=c count=2",
        "none family=c count=2",
        "width=3",
        "hidden>=64 hidden<=32",
        "hidden=big",
        "99 family=c",
        "last first family=c",
        "64",
    ],
)
def test_what_is_no_layer_rule(text):
    with pytest.raises(InputError) as refused:
        parse_layer_rule(text)
    assert refused.value.remedy


OPS = {
    "c_* >=3": OpRule(label="c_*", count=Range(3)),
    "c_*": OpRule(label="c_*", count=SOME),
    "c": OpRule(label="c_*", count=SOME),
    "add_norm_h128=4": OpRule(label="add_norm_h128", count=Range(4, 4)),
    "add_norm >4": OpRule(kind="add_norm", count=Range(5)),
    "head 8..12": OpRule(kind="head", count=Range(8, 12)),
    "ff<=3": OpRule(kind="feed_forward", count=Range(None, 3)),
    "* <=30": OpRule(count=Range(None, 30)),
}


@pytest.mark.parametrize("text", OPS)
def test_op_rules(text):
    assert parse_op_rule(text) == OPS[text]


@pytest.mark.parametrize("text", ["", ">=3", "c_*_5", "two words", "c_* >=x"])
def test_what_is_no_op_rule(text):
    with pytest.raises(InputError):
        parse_op_rule(text)


def test_conditions_and_orders():
    kind = {"fidelity": "full"}
    assert parse_score("SST-2>=0.8", kind) == Condition(ScoreKind("SST-2", fidelity="full"), Range(0.8))
    assert parse_score("SST-2 0.8..0.9", {}) == Condition(ScoreKind("SST-2"), Range(0.8, 0.9))
    assert parse_score("SST-2", {}) == Condition(ScoreKind("SST-2"))
    board = MeasurementKey("raspberry pi", "latency")
    assert parse_measurement("raspberry pi latency <= 0.5") == Condition(board, Range(None, 0.5))
    assert parse_sort("-SST-2", kind) == Sort(ScoreKind("SST-2", fidelity="full"), descending=True)
    assert parse_sort("parameters", kind) == Sort(Fact.PARAMETERS)
    assert parse_sort("-latency@raspberry pi", kind) == Sort(board, descending=True)
    assert parse_measurement("latency@raspberry pi <= 0.5") == Condition(board, Range(None, 0.5))


@pytest.mark.parametrize(
    "call",
    [
        lambda: parse_score(">=0.8", {}),
        lambda: parse_score("", {}),
        lambda: parse_score("SST-2>=high", {}),
        lambda: parse_measurement("latency<=0.5"),
        lambda: parse_sort("--SST-2", {}),
        lambda: parse_sort("", {}),
        lambda: build_query(QuestionTexts(parameters="small")),
    ],
)
def test_what_is_no_condition_or_order(call):
    with pytest.raises(InputError):
        call()


def test_numbers_that_no_store_counts_to_are_refused_by_name():
    for name in ("limit", "offset"):
        with pytest.raises(InputError, match=f"^{name} must be at most"):
            build_query(QuestionTexts(), **{name: 2**63})
        build_query(QuestionTexts(), **{name: 2**63 - 1})


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_as_input(text):
    for read in (
        parse_layer_rule,
        parse_op_rule,
        parse_measurement,
        lambda words: parse_range("size", words),
        lambda words: parse_range("size", words, whole=True),
        lambda words: parse_score(words, {}),
        lambda words: parse_sort(words, {}),
    ):
        with contextlib.suppress(InputError):
            read(text)


def test_a_question_as_a_whole():
    texts = QuestionTexts(
        ["last family=c"], ["c_* >=3"], "<10M", ">=1G", "2..4", ">0.8", ["SST-2>=0.8"], ["cpu latency"]
    )
    query = build_query(texts, "nano", ["-SST-2", "parameters"], 5, 10)
    assert query.conditions == (
        Condition(Fact.PARAMETERS, Range(None, 9_999_999)),
        Condition(Fact.FLOPS, Range(10**9)),
        Condition(Fact.HETEROGENEITY, Range(ABOVE)),
        Condition(Fact.DEPTH, Range(2, 4)),
        Condition(ScoreKind("SST-2"), Range(0.8)),
        Condition(MeasurementKey("cpu", "latency")),
    )
    assert (query.space, query.limit, query.offset) == ("nano", 5, 10)
    assert query.sort == (Sort(ScoreKind("SST-2"), True), Sort(Fact.PARAMETERS))
    assert (query.layers, query.ops) == ((LayerRule(-1, "c"),), (OpRule(label="c_*", count=Range(3)),))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A store of 40 architectures, of which ten are scored and five measured."""
    import numpy as np

    specs = load_space("nano").sample(40, np.random.default_rng(1))
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('questions') / 'small.db'}") as store:
        Library.build(store, "nano", specs, SilentReporter(), source={"test": True})
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_scores(
            [
                ScoreRecord(id, "sst", "accuracy", 0.5 + row / 20, "d", "full", "r", 0, "here")
                for row, id in enumerate(ids[:10])
            ]
        )
        store.add_measurements([MeasurementRecord(id, "cpu", "latency", 0.1, "s") for id in ids[:5]])
        yield store


def test_words_find_what_a_loop_over_the_store_finds(small):
    texts = QuestionTexts(["last family=c", "none hidden>32"], depth="=4", parameters="<40K")
    expected = set()
    for summary in small.summaries("nano"):
        model = json.loads(summary.spec)
        fits = model["l"] == 4 and summary.parameters < 40_000
        if fits and model["o"][-1] == "c" and max(model["h"]) <= 32:
            expected.add(summary.id)
    page = small.find(build_query(texts, "nano", limit=None))
    assert {found.summary.id for found in page.rows} == expected
    everything = small.find(build_query(QuestionTexts(["all op=sa_sdp"], depth="2"), "nano", limit=None))
    alike = {s.id for s in small.summaries("nano") if s.operations == ("sa_sdp", "sa_sdp")}
    assert {found.summary.id for found in everything.rows} == alike


def test_unknown_names_are_told_with_what_there_is(small):
    resolve_query(small, build_query(QuestionTexts(scores=["sst"], measurements=["cpu latency"]), "nano"))
    with pytest.raises(InputError, match="a task with scores in space nano: sst"):
        resolve_query(small, build_query(QuestionTexts(), "nano", sort=["-SST-2"]))
    with pytest.raises(InputError, match="accuracy / d / full / r"):
        resolve_query(small, build_query(QuestionTexts(scores=["sst"], kind={"recipe": "other"}), "nano"))
    with pytest.raises(InputError, match="name one device of space nano: cpu, but got 'gpu'"):
        resolve_query(small, build_query(QuestionTexts(measurements=["latency@gpu"]), "nano"))
    with pytest.raises(InputError, match="quantity must be one of cpu: latency"):
        resolve_query(small, build_query(QuestionTexts(measurements=["energy@cpu"]), "nano"))


def test_parts_of_names_are_resolved(small):
    texts = QuestionTexts(scores=["sst"], measurements=["latency@cp"], kind={"metric": "accuracy"})
    query = resolve_query(small, build_query(texts, "nano", sort=["-sst"]))
    kind = ScoreRecord("", "sst", "accuracy", 0.0, "d", "full", "r", 0, "here").kind
    assert query.quantities == (kind, MeasurementKey("cpu", "latency"))
    assert query.sort == (Sort(kind, descending=True),)
