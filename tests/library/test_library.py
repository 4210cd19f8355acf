"""A library has every architecture with its vector and its exact neighbours, however often its writing was cut."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal

import numpy as np
import pytest

from explorer.errors import InputError, SpecError
from explorer.library import fitted, library
from explorer.library.library import Library
from explorer.library.spaces import build_space, choose_space, explain_similarity
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id, build_graph
from explorer.similarity.pairs import PairKernel
from explorer.similarity.patterns import PatternKernel
from explorer.similarity.registry import kernel_named
from explorer.space.formats import from_json
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from graphstore import open_store

OTHERS = [named_model(name) for name in ("BERT-Tiny", "FNet-Mini", "BERT-Mini")]


class CutError(Exception):
    pass


class CutReporter:
    """Raises when a phase begins."""

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


@pytest.fixture
def new_url(built_once, tmp_path):
    """Gives the URL of a new store that has the library of ``tiny``, or nothing."""

    def build(folder):
        with open_store(f"sqlite:///{folder / 'tiny.db'}") as store:
            build_space(store, tiny(), SilentReporter())

    def url(name, built=True):
        path = tmp_path / f"{name}.db"
        if built:
            shutil.copy(built_once("tiny-library", build) / "tiny.db", path)
        return f"sqlite:///{path}"

    return url


@pytest.fixture
def built(new_url):
    """A store that has the library of ``tiny``."""
    with open_store(new_url("built")) as opened:
        yield opened


def everything(store, space):
    """All that the store has of a library; kernels by their results, because they are only equal in these."""
    opened = Library.open(store, space)
    embedded = opened.embeddings
    tables = {kernel: store.neighbor_table(space, kernel) for kernel in store.kernels(space)}
    return (
        store.architecture_ids(space),
        embedded.ids,
        embedded.vectors.tobytes(),
        tables,
        dict(opened.info),
        opened.place(OTHERS).tobytes(),
    )


@pytest.mark.parametrize(("name", "agreement"), [("views", 0.95), ("wl", 0.9)])
def test_neighbours_and_vectors_are_those_of_the_kernel(empty, name, agreement):
    opened = build_space(empty, tiny(), SilentReporter(), kernel_named(name))
    specs = list(tiny())
    kernel = kernel_named(name).fit([build_graph(spec) for spec in specs])
    graphs = [build_graph(spec) for spec in specs]
    exact = kernel.dissimilarities(graphs, graphs)
    ids = [architecture_id(spec) for spec in specs]
    assert empty.count("tiny") == 96
    for row in (0, 40, 95):
        found = empty.neighbors("tiny", ids[row], kernel.name, 10)
        order = sorted((exact[row, j], j) for j in range(96) if j != row)[:10]
        assert [n.target for n in found] == [ids[j] for _, j in order]
        np.testing.assert_allclose([n.dissimilarity for n in found], [d for d, _ in order], atol=1e-9)
    assert list(opened.embeddings.ids) == ids
    np.testing.assert_array_equal(opened.embeddings.vectors, kernel.vectors)
    assert opened.agreement > agreement
    np.testing.assert_array_equal(opened.place(OTHERS), kernel.transform([build_graph(spec) for spec in OTHERS]))


def test_stored_architectures_say_what_they_are(built):
    spec = tiny().at(17)
    record = built.architecture(architecture_id(spec))
    graph = build_graph(spec)
    assert from_json(record.spec) == spec
    assert tuple(op.label for op in record.ops) == graph.labels
    assert set(record.feeds) == set(graph.edges)
    assert [layer.hidden for layer in record.layers] == [layer.hidden for layer in spec.layers]


def test_a_finished_library_is_not_built_again(built):
    before = built.revision()
    build_space(built, tiny(), CutReporter("graphs"))
    assert built.revision() == before


def test_another_kernel_needs_another_name(empty):
    build_space(empty, tiny(), SilentReporter(), kernel_named("wl"))
    before = empty.revision()
    build_space(empty, tiny(), SilentReporter())
    build_space(empty, tiny(), SilentReporter(), kernel_named("wl"))
    for other in (kernel_named("views"), kernel_named("wl", iterations=2)):
        with pytest.raises(InputError, match=r"space tiny was begun with \(weisfeiler_lehman .*Leave kernel out"):
            build_space(empty, tiny(), SilentReporter(), other)
    assert empty.revision() == before


def test_an_unfinished_library_keeps_its_kernel(empty):
    with pytest.raises(CutError):
        build_space(empty, tiny(), CutReporter("embedding"), kernel_named("wl"))
    with pytest.raises(InputError, match="begun with"):
        build_space(empty, tiny(), SilentReporter(), kernel_named("views"))
    assert build_space(empty, tiny(), SilentReporter()).kernel.name == kernel_named("wl").name


def test_another_grammar_needs_another_name(built):
    before = built.revision()
    with pytest.raises(SpecError, match="Rename"):
        build_space(built, dataclasses.replace(tiny(), hidden=(32,), heads=((2, 4),)), SilentReporter())
    assert built.revision() == before


def test_a_space_too_large_to_enumerate_is_refused(empty):
    with pytest.raises(SpecError, match="84943872"):
        build_space(empty, load_space("tiny-mini").at_level(1), SilentReporter())
    assert empty.spaces() == []


def test_new_architectures_join_a_library(empty):
    specs = list(tiny())
    first = Library.build(empty, "mine", specs[:40], SilentReporter(), source={"from": "a"})
    held = first.embeddings
    Library.build(empty, "mine", specs[30:60], SilentReporter(), source={"from": "b"})
    opened = Library.open(empty, "mine")
    assert opened.embeddings.ids == tuple(architecture_id(spec) for spec in specs[:60])
    np.testing.assert_array_equal(opened.embeddings.vectors[:40], held.vectors)
    np.testing.assert_array_equal(opened.embeddings.vectors[40:], first.place(specs[40:60]))
    assert opened.rows == {id: row for row, id in enumerate(opened.embeddings.ids)}


def test_neighbours_among_appended_architectures(empty):
    specs = list(tiny())
    Library.build(empty, "mine", specs[:40], SilentReporter(), source={})
    opened = Library.open(empty, "mine")
    assert opened.append(specs[30:96]) == 56
    graphs = [build_graph(spec) for spec in specs]
    exact = opened.kernel.dissimilarities(graphs, graphs)
    for row in (45, 95):
        id = architecture_id(specs[row])
        order = sorted((exact[row, j], j) for j in range(96) if j != row)[:10]
        assert [n.target for n in empty.neighbors("mine", id, "views")] == [architecture_id(specs[j]) for _, j in order]


def test_neighbours_of_an_architecture_outside_are_those_it_would_have_inside(empty):
    specs = list(tiny())
    outside = Library.build(empty, "without", specs[1:], SilentReporter(), source={})
    near = outside.nearest(specs[0], 5)
    outside.append(specs[:1])
    id = architecture_id(specs[0])
    assert empty.neighbors("without", id, "views", 5) == near
    assert Library.open(empty, "without").nearest(specs[0], 15)[:5] == near
    found = [other for other, _ in Library.open(empty, "without").nearest_by_vector(specs[0], 5)]
    assert id not in found


def test_the_space_to_look_in(empty):
    specs = list(tiny())
    with pytest.raises(InputError, match="have a built space"):
        choose_space(empty, None)
    Library.build(empty, "large", specs[1:50], SilentReporter(), source={})
    Library.build(empty, "small", specs[:3], SilentReporter(), source={})
    assert choose_space(empty, architecture_id(specs[0])) == "small"
    assert choose_space(empty, "0" * 32) == choose_space(empty, None) == "large"
    assert choose_space(empty, architecture_id(specs[0]), "large") == "large"
    with pytest.raises(InputError, match="built space"):
        choose_space(empty, architecture_id(specs[0]), "nowhere")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_library_may_be_tiny(empty, count):
    specs = list(tiny())[:count]
    opened = Library.build(empty, "own", specs, SilentReporter(), source={})
    assert opened.embeddings.vectors.shape == (count, 16)
    assert len(empty.neighbors("own", architecture_id(specs[0]), "views")) == count - 1
    # The axes of a small collection distinguish architectures that it does not have yet.
    vectors = opened.place(OTHERS)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    assert distances[np.triu_indices(3, 1)].min() > 0.1
    assert opened.append(OTHERS) == 3
    np.testing.assert_array_equal(Library.open(empty, "own").embeddings.vectors[count:], vectors)


def test_explanations_add_up_to_the_dissimilarity(built):
    kernel, explanation = explain_similarity(None, *OTHERS[:2])
    assert kernel == "weisfeiler_lehman"
    assert 0.0 < explanation.dissimilarity < 1.0
    kernel, explanation = explain_similarity(built, *OTHERS[:2])
    assert kernel == "views"
    assert explanation.dissimilarity == pytest.approx(
        Library.open(built, "tiny").dissimilarities(OTHERS[:2])[0, 1], abs=1e-9
    )


WRITES = ("put_space", "add_architectures", "put_kernel", "append_to_library", "put_embeddings", "put_neighbors")


class Killer:
    """Counts the writes to a store and kills the process before or after one of them."""

    def __init__(self, store, step):
        self.step, self.count = step, 0
        for name in WRITES:
            setattr(store, name, self._counted(getattr(store, name)))

    def _counted(self, write):
        def call(*arguments, **named):
            for action in (lambda: None, lambda: write(*arguments, **named)):
                self.count += 1
                if self.count == self.step:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = action()
            return result

        return call


def build_in_batches(store):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "BATCH", 40)
        build_space(store, tiny(), SilentReporter())


def append_in_batches(store):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "BATCH", 2)
        Library.open(store, "tiny").append(OTHERS)


def append_at_once(store):
    Library.open(store, "tiny").append(OTHERS)


def killed(url, work, step):
    """Exit code of a process that does the work and is killed at a step; 0 if there are fewer steps."""

    def run():
        with open_store(url) as store:
            Killer(store, step)
            work(store)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(120)
    return child.exitcode


@pytest.mark.parametrize("work", [build_in_batches, append_in_batches, append_at_once])
def test_killed_between_any_two_writes_and_repeated(new_url, work):
    begun = work is not build_in_batches
    with open_store(new_url("whole", begun)) as store:
        work(store)
        expected = everything(store, "tiny")
    for step in range(1, 100):
        url = new_url(f"step{step}", begun)
        code = killed(url, work, step)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        with open_store(url) as store:
            assert store.problems() == []
            work(store)
            assert everything(store, "tiny") == expected
            assert store.problems() == []
    assert code == 0
    assert step >= 3


def in_two_processes(url, shares, work):
    """Do ``work(store, architectures)`` in two processes that begin at the same moment, each with its share."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)

    def run(share):
        with open_store(url) as store:
            barrier.wait(60)
            work(store, share)

    children = [context.Process(target=run, args=(share,)) for share in shares]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode == 0


def append_each(store, specs):
    opened = Library.open(store, "tiny")
    for spec in specs:
        opened.append([spec])


def test_two_processes_append_at_once(new_url):
    url = new_url("shared")
    new = list(dict.fromkeys(load_space("small").sample(12, np.random.default_rng(5))))
    with open_store(url) as store:
        before = Library.open(store, "tiny")
        placed = before.place(new)
        held = before.embeddings
    in_two_processes(url, (new[:8], new[4:][::-1]), append_each)
    with open_store(url) as store:
        after = store.embeddings("tiny")
        assert after.ids[:96] == held.ids
        np.testing.assert_array_equal(after.vectors[:96], held.vectors)
        found = dict(zip(after.ids[96:], after.vectors[96:], strict=True))
        assert len(found) == len(new)
        for spec, vector in zip(new, placed, strict=True):
            id = architecture_id(spec)
            np.testing.assert_array_equal(found[id], vector)
            assert len(store.neighbors("tiny", id, "views")) == 10
        assert store.problems() == []


def build_each(store, specs):
    for spec in specs:
        Library.build(store, "own", [spec], SilentReporter(), source={"from": "you"})


def test_two_processes_begin_a_collection_at_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'own.db'}"
    open_store(url).close()
    specs = list(tiny())[:12]
    in_two_processes(url, (specs[:6], specs[6:]), build_each)
    with open_store(url) as store:
        opened = Library.open(store, "own")
        assert sorted(opened.embeddings.ids) == sorted(architecture_id(spec) for spec in specs)
        by_id = {architecture_id(spec): spec for spec in specs}
        np.testing.assert_array_equal(
            opened.embeddings.vectors, opened.place([by_id[id] for id in opened.embeddings.ids])
        )
        assert store.problems() == []


def test_an_architecture_is_placed_without_refitting(built, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("refitted")

    for kind in (fitted.FittedKernels, PatternKernel, PairKernel):
        monkeypatch.setattr(kind, "fit", refuse)
    opened = Library.open(built, "tiny")
    assert opened.place(OTHERS).shape == (3, 16)
    assert opened.append(OTHERS) == 3
    assert len(opened.nearest(OTHERS[1], 4)) == 4
