"""A library on a Neo4j server: the same as on the embedded store, also when its writing was cut and repeated."""

from __future__ import annotations

import dataclasses

import pytest

from explorer.library import library
from explorer.library.library import Library
from explorer.library.spaces import build_space
from explorer.progress import SilentReporter
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from graphstore import open_store

pytestmark = pytest.mark.neo4j
TINY = dataclasses.replace(load_space("nano"), name="tiny", layers=(2,))
OTHERS = [named_model(name) for name in ("BERT-Tiny", "FNet-Mini", "BERT-Mini")]
WRITES = ("put_space", "add_architectures", "put_kernel", "append_to_library")


class CutError(Exception):
    pass


def cut_after(store, writes):
    """Let a store raise after so many writes."""
    done = []

    def counted(write):
        def call(*arguments, **named):
            if len(done) == writes:
                raise CutError
            done.append(write)
            return write(*arguments, **named)

        return call

    for name in WRITES:
        setattr(store, name, counted(getattr(store, name)))


def everything(store):
    embedded = store.embeddings("tiny")
    opened = Library.open(store, "tiny")
    neighbors = store.neighbor_table("tiny", "views")
    return store.architecture_ids("tiny"), embedded.ids, embedded.vectors.tobytes(), neighbors, opened.info


def work(store):
    build_space(store, TINY, SilentReporter())
    Library.open(store, "tiny").append(OTHERS)


def test_a_cut_and_repeated_library_equals_the_embedded_one(neo4j_url, server, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "BATCH", 50)
    with open_store(f"sqlite:///{tmp_path / 'whole.db'}") as store:
        work(store)
        expected = everything(store)
    for writes in range(100):
        with open_store(neo4j_url) as store:
            cut_after(store, writes)
            try:
                work(store)
                break
            except CutError:
                assert store.problems() == []
    assert writes > 2
    with open_store(neo4j_url) as store:
        assert everything(store) == expected
        assert store.problems() == []
