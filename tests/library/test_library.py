"""A library holds every architecture with its vector and its exact neighbours, however often its building was cut."""

import dataclasses

import numpy as np
import pytest

from explorer.errors import InputError, SpecError
from explorer.library.build import build_library, build_space, is_ready
from explorer.library.nearest import choose_space, nearest_in_space
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id, build_graph
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.formats import from_json
from explorer.space.grammar import load_space
from explorer.testing.kernels import gram
from graphstore import open_store


class CutError(Exception):
    pass


class CutReporter:
    """Ends the work when a phase begins."""

    def __init__(self, phase):
        self.phase = phase

    def update(self, phase, done, total, note=""):
        if phase == self.phase:
            raise CutError


@pytest.fixture
def empty(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'empty.db'}") as opened:
        yield opened


def tiny():
    """The 96 two-layer architectures of the nano grammar."""
    return dataclasses.replace(load_space("nano"), name="tiny", layers=(2,))


def test_neighbours_and_vectors_are_those_of_the_exact_kernel(empty):
    space = tiny()
    record = build_space(empty, space, SilentReporter())
    specs = list(space)
    values = gram(WeisfeilerLehman(), [build_graph(spec) for spec in specs])
    ids = [architecture_id(spec) for spec in specs]
    assert empty.count("tiny") == record.info["architectures"] == 96
    for row in (0, 40, 95):
        found = empty.neighbors("tiny", ids[row], "weisfeiler_lehman", 10)
        order = sorted((round(1 - values[row, j], 12), j) for j in range(96) if j != row)[:10]
        assert [n.target for n in found] == [ids[j] for _, j in order]
        np.testing.assert_allclose([n.dissimilarity for n in found], [d for d, _ in order], atol=1e-9)
    embedded = empty.embeddings("tiny")
    assert list(embedded.ids) == ids
    assert embedded.vectors.shape == (96, 16)
    assert record.info["embedding_spearman"] > 0.95


def test_stored_architectures_say_what_they_are(empty):
    build_space(empty, tiny(), SilentReporter())
    spec = tiny().at(17)
    record = empty.architecture(architecture_id(spec))
    graph = build_graph(spec)
    assert from_json(record.spec) == spec
    assert tuple(op.label for op in record.ops) == graph.labels
    assert set(record.feeds) == set(graph.edges)
    assert [layer.hidden for layer in record.layers] == [layer.hidden for layer in spec.layers]


def test_a_finished_library_is_not_built_again(empty):
    build_space(empty, tiny(), SilentReporter())
    before = empty.revision()
    build_space(empty, tiny(), CutReporter("graphs"))
    assert empty.revision() == before


@pytest.mark.parametrize("phase", ["store", "similarity", "neighbours"])
def test_an_interrupted_build_is_finished_by_the_next(empty, phase):
    with pytest.raises(CutError):
        build_space(empty, tiny(), CutReporter(phase))
    assert not is_ready(empty, "tiny")
    build_space(empty, tiny(), SilentReporter())
    assert is_ready(empty, "tiny")
    assert empty.count("tiny") == len(empty.embeddings("tiny").ids) == 96


def test_another_grammar_needs_another_name(empty):
    build_space(empty, tiny(), SilentReporter())
    before = empty.revision()
    with pytest.raises(SpecError, match="Rename"):
        build_space(empty, dataclasses.replace(tiny(), hidden=(32,), heads=((2, 4),)), SilentReporter())
    assert empty.revision() == before


def test_a_space_too_large_to_enumerate_is_refused(empty):
    with pytest.raises(SpecError, match="84943872"):
        build_space(empty, load_space("tiny-mini").at_level(1), SilentReporter())
    assert empty.spaces() == []


def test_new_architectures_join_a_library(empty):
    specs = list(tiny())
    build_library(empty, "mine", specs[:20], SilentReporter(), source={"from": "a"})
    build_library(empty, "mine", specs[10:40], SilentReporter(), source={"from": "b"})
    assert empty.embeddings("mine").ids == tuple(architecture_id(spec) for spec in specs[:40])


def test_neighbours_of_an_architecture_outside_are_those_it_would_have_inside(empty):
    specs = list(tiny())
    build_library(empty, "without", specs[1:], SilentReporter(), source={})
    build_library(empty, "with", specs, SilentReporter(), source={})
    outside = nearest_in_space(empty, "without", specs[0], 5)
    inside = empty.neighbors("with", architecture_id(specs[0]), "weisfeiler_lehman", 5)
    assert [(n.target, n.rank) for n in outside] == [(n.target, n.rank) for n in inside]
    assert choose_space(empty, architecture_id(specs[0])) == "with"
    with pytest.raises(InputError, match="built space"):
        choose_space(empty, architecture_id(specs[0]), "nowhere")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_library_may_be_tiny(empty, count):
    specs = list(tiny())[:count]
    build_library(empty, "own", specs, SilentReporter(), source={})
    assert is_ready(empty, "own")
    assert empty.embeddings("own").vectors.shape == (count, 16)
    assert len(empty.neighbors("own", architecture_id(specs[0]), "weisfeiler_lehman")) == count - 1
