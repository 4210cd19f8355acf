"""A store of 30,000 architectures: every page says what it has, and none breaks."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from explorer.app.jobs import page as jobs
from explorer.app.navigation import PAGES
from explorer.library.records import architecture_record
from explorer.space.grammar import load_space
from graphstore import open_store
from graphstore.records import Embeddings, SpaceRecord

from .conftest import SPACE, TASKS, score

COUNT, SCORED = 30_000, 300


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> tuple[str, list[str]]:
    """A few architectures over and over, under invented ids: only how many they are matters here."""
    grammar, rng = load_space(SPACE), np.random.default_rng(0)
    some = [
        dataclasses.replace(architecture_record(spec), ops=(), feeds=(), name="") for spec in grammar.sample(500, rng)
    ]
    ids = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(COUNT)]
    records = [dataclasses.replace(some[number % len(some)], id=id) for number, id in enumerate(ids)]
    url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'large.db'}"
    info = {"title": "Large", "source": grammar.source(), "architectures": COUNT}
    with open_store(url) as store:
        store.put_space(SpaceRecord(SPACE, info | {"ready": True}))
        store.add_architectures(SPACE, records)
        store.put_embeddings(SPACE, Embeddings(tuple(ids), rng.normal(size=(COUNT, 16)).astype(np.float32)))
        store.add_scores([score(id, task, rng.uniform(0.5, 0.8)) for id in ids[:SCORED] for task in TASKS])
    return url, ids


def test_every_page(open_page, large):
    url, ids = large
    told, tables = {}, {}
    for name in PAGES:
        stated = {"view": jobs.TABS[1]} if name == "jobs" else {"id": ids[1], "ids": ",".join(ids[:3])}
        page = open_page(name, url, timeout=300, space=SPACE, **stated)
        assert not page.exception, name
        assert not page.error, name
        told[name] = " ".join(part.value for part in (*page.info, *page.caption, *page.markdown))
        tables[name] = [table.value for table in page.dataframe]
    assert "20,300 of 30,000 are drawn" in told["space"]
    assert any(COUNT in set(table.get("architectures", ())) for table in tables["jobs"])
    assert "once the library of nano is finished" in told["build"]
