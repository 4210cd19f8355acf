"""Ten thousand bad inputs to what is behind the app's fields and addresses: a message each time, never a traceback."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from explorer.analysis.score_kinds import TitledKind
from explorer.analysis.tables import FORMULA_BEGINS
from explorer.app.pareto.tradeoffs import dominated
from explorer.app.query import cypher_console
from explorer.app.query.query_form import ADDRESS, Choices, read_address
from explorer.app.search import launching
from explorer.app.shared import downloads, markdown
from explorer.app.space import map_values
from explorer.documents.json_text import parse_json
from explorer.errors import InputError
from explorer.library.library import vector_of
from explorer.pareto import pareto_set
from explorer.space import drafts as drafting
from explorer.space.backbones import parse_widths
from explorer.space.drafts import Draft, LayerDraft
from explorer.space.formats import to_json
from explorer.space.named import find_named, named_model
from explorer.studies.objectives import read_constraints
from explorer.studies.spec import NAME, Known, Stages, StudySpec, Trained
from explorer.testing.searches import search
from graphstore.cypher import parameter_names
from graphstore.errors import StoreInputError
from graphstore.neo4j.saved_queries import saved_queries
from graphstore.queries import ArchitectureQuery, Range
from graphstore.records import ScoreKind

from .bad_input import number, text

EACH = 850
"""Inputs to each of the twelve kinds of fields."""
TINY = named_model("BERT-Tiny")
MODEL = drafting.pack(drafting.draft_of(TINY))
MEAN = TitledKind(ScoreKind("mean", "accuracy", "d", "f", "r"), "mean")
CHOICES = Choices(("c", "sa"), ("5", "sdp"), (32, 64), (MEAN,))
KNOWN = pd.DataFrame({"name": ["BERT-Tiny", ""], "label": ["BERT-Tiny", "ab"]}, index=["0123456789ab", "abcdef012345"])
POINTS = KNOWN.assign(x=[0.0, 1.0], y=[0.0, 1.0], parameters=[1, 2], depth=[1, 2])
SCORE, SHARES = pd.Series([0.5], index=KNOWN.index[:1]), pd.DataFrame(index=KNOWN.index)
STATEMENTS = ("MATCH (a:Architecture) RETURN a.id AS id LIMIT $k", "RETURN 1")


def query_address(draw: random.Random) -> None:
    sane = ("first,sa,sdp,32", "any,,,64", "1~5", "~2.5", "mean", "score", "-flops", "20")
    query, wrong = read_address({name: text(draw, *sane) for name in ADDRESS}, CHOICES)
    assert set(wrong) <= set(ADDRESS)
    assert isinstance(query.question("nano"), ArchitectureQuery)
    assert read_address(query.address(), CHOICES)[1] == []


def model_in_the_address(draw: random.Random) -> None:
    draft = drafting.unpack(text(draw, MODEL))
    drafting.read_draft(draft)


def edited_layer(draw: random.Random) -> None:
    def size() -> int | None:
        return draw.choice([None, 1, 2, 3, 64, 128, 8192])

    operation = text(draw, "sa_sdp", "c_5", "l_dft", drafting.MIXED)
    stack, mix = text(draw, "512, 256", "3 × 512"), text(draw, "2 × sa_sdp_64, c_5_64")
    layers = tuple(LayerDraft(operation, size(), size(), stack, mix) for _ in range(draw.randint(1, 2)))
    spec, errors = drafting.read_draft(Draft(layers, size()))
    assert (spec is None) == bool(errors)
    for error in errors:
        assert markdown.verbatim(error)


def pasted_model(draw: random.Random) -> None:
    written = to_json(TINY)
    if draw.random() < 0.5:
        document = json.loads(written)
        key = draw.choice(list(document))
        document[key] = draw.choice(
            [None, True, number(draw), text(draw), [], {}, [[]], [number(draw)], [text(draw)] * 2]
        )
        written = json.dumps(document)
    spec = drafting.read_pasted(text(draw, written))
    assert spec.depth >= 1


def pasted_vector(draw: random.Random) -> None:
    document = parse_json(text(draw, "[0.25, -1, 3e-2]", "[1e308, 2]"), "vector")
    assert np.isfinite(vector_of(document)).all()


def cypher_statement(draw: random.Random) -> None:
    statement = text(draw, *STATEMENTS)
    for name in parameter_names(statement):
        assert re.search(rf"\$\s*`?{re.escape(name.replace('`', '``'))}", statement)


def cypher_parameters(draw: random.Random) -> None:
    assert isinstance(cypher_console._own_parameters(text(draw, '{"k": 3}')), dict)


def saved_query_values(draw: random.Random) -> None:
    query = draw.choice(saved_queries())
    given = {one.name: draw.choice([number(draw), text(draw, "mean", "3"), None]) for one in query.parameters}
    found = query.values(given)
    assert all(math.isfinite(value) for value in found.values() if isinstance(value, float))


def find_text_and_lasso(draw: random.Random) -> None:
    # A browser sends UTF-8, which has no surrogates; only JSON can bring them in.
    found = text(draw, "012", "bert-tiny", "ABCDEF").encode(errors="replace").decode()
    assert set(map_values.find_ids(KNOWN, found)) <= set(KNOWN.index)
    find_named(found)
    area = map_values.read_area(text(draw, "0,0 1,1", "0,0 1,0 1,1 0.5,2"))
    if area is not None:
        assert map_values.inside(POINTS, [area]).shape == (2,)
    ends = [[one for one in (number(draw) for _ in range(draw.randint(0, 60))) if one is not None] for _ in "xy"]
    area = map_values.area_of(*ends)
    if area is not None:
        again = map_values.read_area(map_values.area_text(area))
        assert again is None or len(again) == len(area)
        map_values.inside(POINTS, [area])


def limits(draw: random.Random) -> None:
    ends = [end for end in (number(draw), number(draw)) if end is not None and math.isfinite(end)]
    low, high = ((*ends, None, None))[:2]
    chosen = map_values.MapFilters((low, high), (high, low), (low, None), (text(draw),), draw.random() < 0.5)
    mask = chosen.mask(POINTS, SCORE, SHARES)
    assert mask.shape == (2,)
    some = np.array([[one or 0.0 for one in (*ends, 0.0, 1.0)[:2]] for _ in range(3)])
    assert len(pareto_set(some)) == 3
    assert dominated(some, some) is None
    Range(low, high)


def launch_choices(draw: random.Random) -> None:
    whole = [0, 1, 2, -1, 64, 65, 500, 2**31, 10**30]
    training = {
        "recipe": [*launching.RECIPE_NAMES, "paper", text(draw)],
        "transfer": [None, "ordered", text(draw)],
        "transfer_overlap": [None, 0.5, number(draw)],
    }
    fields = {
        "policy": [*launching.POLICY_TITLES, text(draw)],
        "score": ["mean", "parameters", "-flops", text(draw, "mean")],
        "evaluation": [Known(), Trained(**{name: draw.choice(values) for name, values in training.items()})],
        "budget": whole,
        "seed": whole,
        "name": [text(draw, "mine", "a.b-c_1")],
        "costs": [(), ("-parameters",), (text(draw, "-latency@pi"),), ("-parameters", "-parameters")],
        "constraints": [(), (text(draw, "parameters<=200K", "depth>=2 <=4", "latency@pi<3"),), ("depth<=4",) * 7],
        "hours": [None, number(draw)],
        "initial": [None, *whole],
        "batch": whole,
        "requeries": whole,
    }
    changed = {name: draw.choice(fields[name]) for name in draw.sample(list(fields), draw.randint(1, 3))}
    stages = Stages(requeries=changed.pop("requeries", 0))
    spec = search(**{"name": "mine", "space": "nano", "policy": "boshnas", "stages": stages, **changed})
    spec = dataclasses.replace(spec, constraints=read_constraints(spec.constraints))
    place = launching.Place(draw.choice(["local", "kubernetes", text(draw)]), draw.choice(whole))
    launching.check_limits(spec, place)
    # What passes is stored as it is, and runs by a command with the form's own options.
    assert StudySpec.from_json(json.loads(json.dumps(spec.to_json(), allow_nan=False))) == spec
    assert all(word.startswith(("--executor=", "--workers=")) for word in place.arguments())
    assert "/" not in spec.name
    assert not spec.name.startswith(("-", "."))


def names_and_cells(draw: random.Random) -> None:
    found = text(draw, "nano-map", "é")
    file = downloads.file_name(found)
    assert file
    assert not set(file) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not file.startswith(".")
    assert NAME.fullmatch(launching.free_name(found, []))
    widths = parse_widths(found)
    assert widths is None or all(width >= 0 for width in widths)
    if draw.random() < 0.8:  # Pandas takes its time to write even one line.
        return
    cell = found.encode(errors="replace").decode()
    lines = downloads.csv_bytes(pd.DataFrame({"a": [cell], "b": [number(draw)]})).decode()
    assert not any(line.startswith(FORMULA_BEGINS) for line in lines.split("\r\n")[1:2])


KINDS = (
    *(query_address, model_in_the_address, edited_layer, pasted_model, pasted_vector, cypher_statement),
    *(cypher_parameters, saved_query_values, find_text_and_lasso, limits, launch_choices, names_and_cells),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_nothing_a_visitor_gives_raises(kind: Callable[[random.Random], None]):
    """Only what the pages show as a message may come out of it."""
    draw = random.Random(kind.__name__)
    assert EACH * len(KINDS) >= 10_000
    refused: list[Exception] = []
    for _ in range(EACH):
        try:
            kind(draw)
        except (InputError, StoreInputError) as error:
            refused.append(error)
    # Something sane came through, so that not only refusals were tested; and every refusal says something.
    assert len(refused) < EACH
    assert all(str(error) for error in refused)
