"""Every page with bad addresses, bad texts in its fields, and stores in trouble: never a traceback, nothing written."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from explorer.app.navigation import PAGES
from explorer.app.query.query_form import ADDRESS
from explorer.app.shared.markdown import verbatim
from explorer.app.space.map_choices import FILTERS
from explorer.library.importing import import_file, shapes_file
from explorer.progress import SilentReporter
from explorer.testing.searches import search
from graphstore import open_store
from graphstore.records import (
    JobRecord,
    JobState,
    MeasurementRecord,
    ScoreRecord,
    SpaceRecord,
    TrialStatus,
)

NAMES = (
    *("space", "id", "ids", "model", "study", "job", "tab", "view", "find", "area", "node", "expand", "with", "depth"),
    *("space_color", "space_size", "projection", "projection_seed", "space_best", "architecture_series", "into"),
    *("build_series", "layers", "first", "second", "states", "lines", "task", "against", "log", "limits", "studies"),
    *("heterogeneity_series", "heterogeneity_best", "heterogeneity_view", "heterogeneity_bins", "homogeneous_to"),
    *("from parameters", "to parameters", "shape", "least", "seed", "perplexity", "machine", "latency", "objective"),
    *("vector", "nearest_k", "statement", "saved", "cypher_rows", "cypher_seconds"),
)
"""What the pages read from the address, besides the filters of the map and the parts of a query."""
PICTURE = "![x](http://evil.example/a.png)<img src=http://evil.example/b.png>[x](http://evil.example)"
BAD = (
    PICTURE,
    "9" * 5000,
    "nan",
    "-1e400",
    "../../../etc/passwd\x00'; DROP TABLE score; --",
    "MATCH (n) DETACH DELETE n \u202e💥²٣",
)
TYPED = (PICTURE, "../../x\x00 é💥 ' OR 1=1 --", "9" * 400)
MARKDOWN = ("markdown", "caption", "info", "warning", "error", "success", "title", "header", "subheader")


@pytest.fixture(scope="module")
def full(filled, shape_file, tmp_path_factory) -> Path:
    """The file of a store with scores, studies, a job and shapes."""
    file = tmp_path_factory.mktemp("visits") / "full.db"
    shutil.copy(filled.url.removeprefix("sqlite:///"), file)
    with open_store(f"sqlite:///{file}") as store:
        import_file(store, shapes_file(shape_file), SilentReporter())
    return file


@pytest.fixture
def store_file(full, tmp_path) -> Path:
    """A copy of it that the pages look at."""
    file = tmp_path / "own" / "store.db"
    file.parent.mkdir()
    shutil.copy(full, file)
    return file


@pytest.fixture
def opened(open_page, store_file):
    def go(name: str, **stated: str | list[str]) -> AppTest:
        return open_page(name, f"sqlite:///{store_file}", timeout=120, **stated)

    return go


def contents(file: Path) -> tuple[str, list[str]]:
    """A digest of everything in a store, and the files there are around it, its own aside."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        digest = hashlib.sha256("\n".join(connection.iterdump()).encode()).hexdigest()
    connection.close()
    around = (one for one in file.parents[1].rglob("*") if not one.name.startswith(file.name))
    return digest, sorted(str(one) for one in around)


def shows_no_foreign_markdown(page: AppTest) -> None:
    """No sign of a visitor's is a link or a picture; buttons aside, what is drawn is Markdown."""
    for kind in MARKDOWN:
        for part in page.get(kind):
            assert "](http" not in part.value, (kind, part.value)
            assert "<img" not in part.value.replace("\\<", ""), (kind, part.value)


@pytest.mark.parametrize("name", PAGES)
def test_bad_addresses_and_fields(opened, store_file, filled, name):
    """Nothing raises, nothing is written, and no other file appears."""
    before = contents(store_file)
    everything = (*NAMES, *FILTERS, *ADDRESS)
    for bad in BAD:
        page = opened(name, **dict.fromkeys(everything, bad))
        assert not page.exception, (bad[:40], page.exception[0].message)
        shows_no_foreign_markdown(page)
    several = {key: list(BAD) for key in everything} | {"space": "nano", "id": filled.best, "study": "first"}
    page = opened(name, **several)
    assert not page.exception, page.exception[0].message
    page = opened(name, space="nano", id=filled.best, ids=filled.best, study="first")
    for bad in TYPED:
        for field in [*page.text_input, *page.text_area]:
            most = field.proto.max_chars or len(bad)
            field.set_value(bad[:most])
        page.run()
        assert not page.exception, (bad, page.exception[0].message)
        shows_no_foreign_markdown(page)
    assert contents(store_file) == before


@pytest.mark.parametrize("name", ["space", "compare", "build", "pareto", "query", "heterogeneity", "architecture"])
def test_names_of_an_import_are_shown_as_they_stand(opened, store_file, filled, name):
    """Of a space, a task and a device, also where they name the rows of a table, a figure of one's own or a field."""
    ids = filled.ids[:8]
    with open_store(f"sqlite:///{store_file}") as store:
        (space,) = (one for one in store.spaces() if one.name == "nano")
        store.put_space(SpaceRecord("nano", {**space.info, "title": PICTURE}))
        for place, id in enumerate(ids):
            store.add_scores([ScoreRecord(id, PICTURE, "accuracy", 0.1 * place, "d", "f", "r", 0, "import:1")])
            store.add_measurements([MeasurementRecord(id, PICTURE, "latency", 1.0 + place, "s")])
    chosen = dict.fromkeys(("space_best", "build_series", "task", "series", "heterogeneity_series"), PICTURE)
    limits = {"limits": f"measured:{PICTURE} latency", "against": f"measured:{PICTURE} latency"}
    page = opened(name, space="nano", id=ids[3], ids=",".join(ids[2:4]), find=ids[3], **chosen, **limits)
    assert not page.exception, page.exception[0].message
    shows_no_foreign_markdown(page)
    names = [str(key) for table in page.table for key in [*table.value.index, *table.value.columns]]
    labels = [one.proto.label for kind in ("metric", "number_input", "page_link") for one in page.get(kind)]
    assert not [text for text in [*names, *labels] if "](http" in text]


@pytest.mark.parametrize("name", PAGES)
def test_failed_and_unfinished_trials(opened, store_file, filled, name):
    """A study of which all that has run has failed, one that waits, and a job that was lost."""
    now = time.time()
    with open_store(f"sqlite:///{store_file}") as store:
        for study in ("bad", "waits"):
            store.create_study(search(study, "nano", "boshnas", budget=9).record(created=now))
            store.add_trials(study, [(id, {}) for id in filled.ids[:3]])
        for reason in (PICTURE, "NaN loss in step 3", ""):
            trial = store.claim_trial("bad", "me", 60.0, now)
            store.finish_trial(trial, TrialStatus.FAILED, now, reason=reason)
        info = {"studies": ["bad", "never begun"], "arguments": []}
        store.put_job(JobRecord("lost", "search", JobState.LOST, 0, "", now, float("0.3"), PICTURE, "", info, now))
    for study in ("bad", "waits", "never begun"):
        page = opened(name, space="nano", study=study, studies=study, job="lost", id=filled.ids[0])
        assert not page.exception, page.exception[0].message
        assert not page.error
        shows_no_foreign_markdown(page)


def shown(page: AppTest) -> tuple[int, list[tuple[int, ...]]]:
    """How many figures, and the sizes of the tables."""
    return len(page.get("plotly_chart")), [one.value.shape for one in page.dataframe]


@pytest.mark.parametrize("name", PAGES)
def test_a_store_that_goes_away_and_comes_back(opened, store_file, filled, name):
    """While it is gone the page says so and what to do; the same visit goes on when it is back."""
    page = opened(name, id=filled.best)
    assert not page.exception
    drawn = shown(page)
    st.cache_resource.clear()
    for journal in store_file.parent.glob(f"{store_file.name}-*"):
        journal.unlink()
    away = store_file.rename(store_file.with_name("away"))
    page.run()
    assert not page.exception
    assert "archex demo" in "\n".join(part.value for part in page.markdown)
    assert not store_file.exists()
    store_file.write_bytes(b"this is no store" * 100)
    page.run()
    assert not page.exception
    assert verbatim(store_file) in page.error[0].value
    st.cache_resource.clear()
    store_file.unlink()
    away.rename(store_file)
    page.button(key="try_again").click().run()
    assert not page.exception
    assert not page.error
    assert shown(page) == drawn
