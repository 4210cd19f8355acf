"""Nothing that a visitor types or that came with imported results names a file or a study outside of its place."""

from __future__ import annotations

import dataclasses
import io
import time
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.architecture.export_view import PACKED
from explorer.app.build import building
from explorer.app.search import launching
from explorer.errors import InputError
from explorer.library import backups
from explorer.library.exporting import trained_runs
from explorer.library.records import architecture_record
from explorer.library.workplace import work_folder
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_json
from explorer.space.named import named_model
from explorer.studies.jobs import new_job
from explorer.testing.searches import search
from graphstore import open_store
from graphstore.records import SpaceRecord

from .conftest import score

OUTSIDE = (
    "../../x",
    "..",
    "/etc/passwd",
    "a/b",
    "..\\x",
    "x\x00y",
    "--store",
    ".hidden",
    "-h",
    "é",
    "a" * 81,
    "x\n",
    " ",
)
TINY = named_model("BERT-Tiny")


@pytest.fixture
def visit(open_page):
    def go(name: str, url: str, /, **stated: str) -> AppTest:
        page = open_page(name, url, **stated)
        assert not page.exception
        return page

    return go


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_study_has_a_plain_name(own_store, tmp_path, monkeypatch, name):
    """However it is asked for; and nothing was begun or written for it."""
    monkeypatch.setattr(launching, "launch", lambda store, kind, words, info: pytest.fail(f"launched {words}"))
    with open_store(own_store) as store:
        spec = from_json(store.summaries("nano")[0].spec)
        before = files(tmp_path)
        with pytest.raises(InputError, match="study name"):
            launching.start(store, search(name, "nano"), launching.Place(), [])
        with pytest.raises(InputError, match="study name"):
            building.queue_edited(store, "nano", spec, building.QueueChoices(name, True, 1, True))
        with pytest.raises(InputError):
            launching.resume_study(store, name, [])
        assert store.studies() == []
        assert store.jobs() == []
        assert files(tmp_path) == before
    assert launching.free_name(name, []).strip("-") == launching.free_name(name, [])


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "..\\..\\x", "x\x00y", "![a](http://evil.example)", "\u202e", "."]
)
def test_a_packed_folder_stays_in_its_folder(visit, tmp_path, monkeypatch, name):
    """An imported architecture may be called anything; what is packed of it unpacks in one new folder."""
    url = f"sqlite:///{tmp_path / 'odd.db'}"
    record = dataclasses.replace(architecture_record(TINY), name=name)
    with open_store(url) as store:
        store.put_space(SpaceRecord("own", {"ready": True}))
        store.add_architectures("own", [record])
    monkeypatch.chdir(tmp_path)
    page = visit("architecture", url, space="own", id=record.id)
    before = files(tmp_path)
    page.button(key="export_pack").click().run()
    assert not page.exception
    assert not page.error
    with zipfile.ZipFile(io.BytesIO(page.session_state[PACKED][1])) as archive:
        (folder,) = {entry.partition("/")[0] for entry in archive.namelist()}
        assert folder.strip(".-")
        assert not any(".." in Path(entry).parts or "\\" in entry for entry in archive.namelist())
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "source", ["trained:train/../../../secret", "trained:../../secret/0", "trained:/secret/0", "trained:"]
)
def test_a_source_brings_no_files_from_elsewhere(tmp_path, source):
    """A score's source is a text of whoever imported it; models are looked for in the store's own folder only."""
    url = f"sqlite:///{tmp_path / 'store' / 'x.db'}"
    (tmp_path / "store").mkdir()
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "run.json").write_text('{"architecture": "{}"}')
    with open_store(url) as store:
        store.put_space(SpaceRecord("own", {"ready": True}))
        store.add_architectures("own", [architecture_record(TINY)])
        store.add_scores([score(architecture_id(TINY), "mean", 0.5, source=source)])
        assert trained_runs(store, TINY) == []


def test_a_backup_is_named_by_the_clock(visit, own_store, tmp_path):
    """Whatever the address says, its place and name are the app's."""
    stated = dict.fromkeys(("file", "path", "backup", "space", "id", "store", "url"), "../../x")
    before = files(tmp_path)
    page = visit("jobs", own_store, view="Store", **stated)
    page.button(key="store_backup").click().run()
    assert not page.exception
    (made,) = backups.list_backups(own_store)
    assert made.path.parent == work_folder(own_store) / "backups"
    time.strptime(made.path.stem, "%Y%m%d-%H%M%S")
    new = {one for one in files(tmp_path) - before if one.is_file()}
    assert {one for one in new if not one.name.endswith(("-wal", "-shm"))} == {made.path}


def test_the_log_that_is_shown_is_that_of_a_job(visit, own_store, tmp_path):
    """A visitor names a job, never a file."""
    (tmp_path / "secret.log").write_text("the secret")
    with open_store(own_store) as store:
        new_job(store, "search", {"arguments": []})
    for wanted in (str(tmp_path / "secret.log"), "../secret", "secret.log", "../../secret.log"):
        page = visit("jobs", own_store, job=wanted, log=wanted, file=wanted)
        assert "the secret" not in "\n".join(part.value for part in page.code)
