"""The grammar of quantities and objectives, and their titles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.quantities import (
    COST_FACTS,
    FACT_TITLES,
    Direction,
    Objective,
    natural_direction,
    parse_quantity,
    quantity_text,
    quantity_title,
    split_direction,
)
from explorer.errors import InputError
from graphstore.queries import Fact, MeasurementKey
from graphstore.records import ScoreKind

BOARD = MeasurementKey("raspberry pi", "latency")
QUANTITIES = {
    "parameters": Fact.PARAMETERS,
    "SST-2": ScoreKind("SST-2"),
    "score:depth": ScoreKind("depth"),
    "score:my task": ScoreKind("my task"),
    "score:a@b": ScoreKind("a@b"),
    "latency@raspberry pi": BOARD,
    " latency @ raspberry  pi ": BOARD,
    "raspberry pi latency": BOARD,
    "measurement:raspberry pi latency": BOARD,
    "measurement:latency@raspberry pi": BOARD,
    "measured:raspberry pi latency": BOARD,
    "mlm:perplexity": ScoreKind("mlm:perplexity"),
}


@pytest.mark.parametrize("text", QUANTITIES)
def test_quantities(text):
    assert parse_quantity(text) == QUANTITIES[text]


@pytest.mark.parametrize("quantity", [Fact.DEPTH, BOARD, ScoreKind("SST-2")])
def test_a_text_is_read_back(quantity):
    assert parse_quantity(quantity_text(quantity)) == quantity


def test_a_score_gets_the_fields_of_its_kind():
    assert parse_quantity("sst", {"recipe": "nano"}) == ScoreKind("sst", recipe="nano")
    assert parse_quantity("depth", {"recipe": "nano"}) is Fact.DEPTH


@pytest.mark.parametrize("text", ["", " ", "@cpu", "latency@", "measurement:latency", "measurement:"])
def test_what_is_no_quantity(text):
    with pytest.raises(InputError):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("parameters", ("parameters", None)),
        ("minimise:parameters", ("parameters", Direction.MINIMISE)),
        (" maximise : SST-2", ("SST-2", Direction.MAXIMISE)),
        ("mlm:perplexity", ("mlm:perplexity", None)),
        ("maximise:mlm:perplexity", ("mlm:perplexity", Direction.MAXIMISE)),
        ("minimise:latency@cpu", ("latency@cpu", Direction.MINIMISE)),
    ],
)
def test_directions(text, found):
    assert split_direction(text, minus=Direction.MAXIMISE) == found
    assert split_direction(text, minus=Direction.MINIMISE) == found


def test_a_minus_means_what_the_caller_says():
    for direction in Direction:
        assert split_direction("- SST-2", minus=direction) == ("SST-2", direction)


@pytest.mark.parametrize("text", ["", "-", "minimise:", " maximise : "])
def test_an_objective_has_a_name(text):
    with pytest.raises(InputError, match="objective must be the name of a quantity"):
        split_direction(text, minus=Direction.MINIMISE)


NAMES = st.text(min_size=1).map(lambda text: " ".join(text.split())).filter(lambda text: text and text[0] not in "-−")
"""Names of quantities; none begins with a minus."""


@given(NAMES, st.sampled_from(Direction))
def test_objectives_are_read_back(name, direction):
    objective = Objective(name, direction)
    assert split_direction(str(objective), minus=Direction.MAXIMISE) == (
        name.replace("≤", "<=").replace("≥", ">=").replace("−", "-"),
        direction,
    )


def test_the_natural_direction_is_that_of_less_work_and_better_scores():
    assert {natural_direction(fact) for fact in Fact} == {Direction.MINIMISE}
    assert natural_direction(BOARD, "s") is Direction.MINIMISE
    assert natural_direction(BOARD, "tokens/s") is Direction.MAXIMISE
    assert natural_direction(ScoreKind("sst", "accuracy")) is Direction.MAXIMISE
    assert natural_direction(ScoreKind("lm", "perplexity")) is Direction.MINIMISE


def test_titles():
    assert [quantity_title(one) for one in (BOARD, ScoreKind("SST-2"), Fact.DEPTH)] == [
        "raspberry pi latency",
        "SST-2",
        "depth",
    ]
    assert quantity_title(BOARD, "s") == "raspberry pi latency (s)"
    assert set(FACT_TITLES) == set(Fact) > set(COST_FACTS)
