"""The architecture that a text stands for, and which source is asked first."""

import dataclasses
import json

import pytest

from explorer.analysis.architectures import find_architecture
from explorer.errors import InputError
from explorer.library.records import architecture_records
from explorer.similarity.graph import architecture_id
from explorer.space.backbones import shape_spec
from explorer.space.formats import to_model_dict
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from graphstore import open_store
from graphstore.testing import samples

WIDTHS = (480, 240, 360, 480, 240, 360, 480, 240, 360, 480, 240, 360)
SPECS = [load_space("nano").at(index) for index in (3, 70)]
ONE, TWO = map(architecture_id, SPECS)


def not_asked(*_):
    raise AssertionError("the store is not needed")


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        opened.put_space(samples.space("nano"))
        first, second = (record for record, _ in architecture_records(SPECS))
        opened.add_architectures("nano", [dataclasses.replace(first, name="Mine"), second])
        yield opened


def find(store, text, names=None, files=False):
    known = {ONE: "Mine", TWO: ""} if names is None else names
    return find_architecture(text, store.architecture, lambda: known, files)


def test_published_models_shapes_and_files_need_no_store(tmp_path):
    tiny = named_model("BERT-Tiny")
    found = find_architecture(" bert-tiny ", not_asked, not_asked)
    assert (found.id, found.spec, found.label, found.stored) == (architecture_id(tiny), tiny, "bert-tiny", False)
    assert find_architecture(", ".join(map(str, WIDTHS)), not_asked, not_asked).spec == shape_spec(WIDTHS)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(to_model_dict(SPECS[1])))
    assert find_architecture(str(file), not_asked, not_asked, files=True).id == TWO


def test_ids_prefixes_and_names_of_the_store(store):
    for text in (ONE, ONE[:8], "mine", " MINE "):
        found = find(store, text)
        assert (found.id, found.spec, found.label, found.stored) == (ONE, SPECS[0], f"Mine ({ONE[:8]})", True)
    assert find(store, TWO[:10]).label == TWO[:8]


@pytest.mark.parametrize("text", ["", "nothing", "BERT-Huge", ONE[:3], "x.json"])
def test_anything_else_is_refused_with_what_there_is(store, text):
    with pytest.raises(InputError, match=r"architecture must be one of .*BERT-Tiny, .*12 widths"):
        find(store, text)


def test_a_name_of_two_architectures_is_refused_with_both(store):
    with pytest.raises(InputError, match=f"2 architectures have this name: {ONE}, {TWO}"):
        find(store, "mine", {ONE: "Mine", TWO: "mine"})


def test_files_of_papers_and_of_python_are_architectures(tmp_path):
    tiny, file = to_model_dict(named_model("BERT-Tiny")), tmp_path / "model.json"
    for text, spec, read_as in (
        (json.dumps({"sample_hidden_size": WIDTHS}), shape_spec(WIDTHS), "SuperShaper's configuration of a shape"),
        (json.dumps({"model_dict": tiny, "glue": 0.7}), named_model("BERT-Tiny"), "the model_dict inside of it"),
        (str(tiny), named_model("BERT-Tiny"), ""),
    ):
        file.write_text(text)
        found = find_architecture(str(file), not_asked, not_asked, files=True)
        assert found.spec == spec
        assert found.read_as.startswith(read_as)
    for document, named in (
        ({"a": {"model_dict": tiny}, "b": {"model_dict": tiny}}, "must hold one architecture, but got 2: a, b"),
        ({"sample_hidden_size": [360]}, "must be 12 widths"),
        ({"hidden_size": 128}, "Give keys l, o, h, f"),
        ({key.upper(): value for key, value in tiny.items()}, "Rename them to small letters: f, h, l, n, o, p"),
    ):
        file.write_text(json.dumps(document))
        with pytest.raises(InputError, match=named):
            find_architecture(str(file), not_asked, not_asked, files=True)


def test_names_of_models_are_matched_loosely():
    for name in ("BERT Tiny", "bert_tiny", "BERTTiny", "bert-tiny"):
        assert find_architecture(name, not_asked, not_asked).spec == named_model("BERT-Tiny")
