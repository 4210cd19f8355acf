"""The kernel of a library: chosen by an option or the space's file, its cost shown first, one for each space."""

from __future__ import annotations

import json
import math

import pytest

from explorer.errors import InputError, SpecError
from explorer.library.library import Library
from explorer.library.spaces import build_space, chosen_kernel
from explorer.progress import SilentReporter
from explorer.similarity.registry import kernel_named
from explorer.space.grammar import DesignSpace, load_space
from graphstore import open_store

SPACE = """
name: mine
hidden: [32, 64]
heads: [2]
layers: [2]
operations: {sa: [sdp, wma]}
feed_forward: {depth: [1], width: [64, 128]}
layers_per_stack: 2
"""


@pytest.fixture
def space(tmp_path):
    """Writes the file of a space of eight architectures; gives its path."""

    def write(more=""):
        path = tmp_path / "mine.yaml"
        path.write_text(SPACE + more)
        return path

    return write


def built(archex, *words):
    code, out, err = archex("space", "build", *words, "--json")
    assert code == 0, err
    return json.loads(out), err


def test_an_option_chooses_the_kernel_of_a_space(archex, space):
    found, err = built(archex, space(), "--kernel", "wl", "--kernel-parameter", "iterations=2")
    assert found["kernel"].startswith("weisfeiler_lehman with iterations=2")
    assert "estimated to take" in err
    with open_store("sqlite:///explorer.db") as store:
        assert store.kernels("mine") == ["weisfeiler_lehman"]
        assert store.space("mine").info["settings"]["kernel"]["parameters"]["iterations"] == 2
    code, _, err = archex("space", "build", space(), "--kernel", "views")
    assert code == 2
    assert "--name" in err
    other, _ = built(archex, space(), "--kernel", "views", "--name", "mine-views")
    assert (other["space"], other["kernel"]) == ("mine-views", "views")
    again, err = built(archex, space())
    assert again["kernel"] == found["kernel"]
    assert "estimated" not in err


def test_the_file_of_a_space_names_its_kernel(archex, space):
    found, _ = built(archex, space("kernel: wl\nkernel_parameters: {iterations: 1}\n"))
    assert found["kernel"].startswith("weisfeiler_lehman with iterations=1")
    found, _ = built(archex, space("kernel: wl\n"), "--kernel", "neighborhood_hash", "--name", "hashed")
    assert found["kernel"].startswith("neighborhood_hash")


def test_a_kernel_of_grakel(archex, space):
    found, _ = built(archex, space(), "--kernel", "grakel:shortest_path")
    assert found["kernel"].startswith("grakel:shortest_path")
    code, out, _ = archex("neighbors", "BERT-Tiny", "--k", "3", "--json")
    assert code == 0
    values = [row["dissimilarity"] for row in json.loads(out)["neighbors"]]
    assert values == sorted(values)
    assert len(values) == 3
    code, _, err = archex("explain", "BERT-Tiny", "BERT-Mini")
    assert code == 2
    assert "count patterns" in err


def test_a_costly_kernel_is_refused_before_anything_is_stored(archex):
    words = ("space", "build", "nano", "--kernel", "random_walk", "--max-kernel-hours", "0.0001")
    code, _, err = archex(*words)
    assert code == 2
    assert "estimated to take" in err
    assert "raise --max-kernel-hours" in err
    with open_store("sqlite:///explorer.db") as store:
        assert store.spaces() == []


def test_no_caller_can_forget_the_estimate(space, tmp_path):
    """Whoever builds a library; once it was begun, it is completed without another one."""

    class Reports(SilentReporter):
        def __init__(self, cut=""):
            self.notes, self.cut = [], cut

        def update(self, phase, done, total, note=""):
            if phase == self.cut:
                raise KeyboardInterrupt
            self.notes += [note] if phase == "cost" else []

    mine, costly = load_space(str(space())), kernel_named("random_walk")
    with open_store(f"sqlite:///{tmp_path / 'other.db'}") as store:
        for limit in (0.0, math.nan):
            with pytest.raises(InputError, match=r"take at most .* hours by estimate.* raise max_hours"):
                build_space(store, mine, SilentReporter(), costly, limit)
            with pytest.raises(InputError, match="raise max_hours"):
                Library.build(store, "any", list(mine), SilentReporter(), "here", kernel=costly, max_hours=limit)
        assert store.spaces() == []
        reports = Reports("embedding")
        with pytest.raises(KeyboardInterrupt):
            build_space(store, mine, reports, costly)
        assert len(reports.notes) == 1
        assert "kernel random_walk: estimated to take" in reports.notes[0]
        assert build_space(store, mine, again := Reports(), costly, 0.0).kernel.name == "random_walk"
        assert again.notes == []


def test_every_caller_gets_the_kernel_that_the_file_names(space, tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'other.db'}") as store:
        library = build_space(store, load_space(str(space("kernel: wl\n"))), SilentReporter())
        assert library.kernel.name == "weisfeiler_lehman"


def test_the_kernel_is_not_part_of_the_grammar():
    plain = load_space("nano")
    document = {"name": "nano", "kernel": "wl", "kernel_parameters": {"iterations": 3}}
    other = DesignSpace.from_document(document | _fields(plain))
    assert other.source() == plain.source()
    assert chosen_kernel(plain) is None
    assert chosen_kernel(other).parameters["iterations"] == 3
    assert chosen_kernel(other, parameters=["iterations=4"]).parameters["iterations"] == 4
    assert chosen_kernel(other, "views").parameters == {}
    with pytest.raises(SpecError, match="kernel"):
        DesignSpace.from_document({"name": "nano", "kernel": 3} | _fields(plain))


def _fields(space):
    return {
        "hidden": list(space.hidden),
        "heads": list(space.heads[0]),
        "layers": list(space.layers),
        "operations": {"sa": ["sdp", "wma"], "l": ["dft", "dct"], "c": [5, 9]},
        "feed_forward": {"depth": list(space.ff_depths), "width": list(space.ff_widths)},
        "layers_per_stack": space.layers_per_stack,
    }
