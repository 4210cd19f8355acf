"""A store whose file becomes another one, restored or rebuilt, while the app shows it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.records import JobRecord, JobState

JOURNALS = ("", "-wal", "-shm")


@pytest.fixture
def other(own_store: str, tmp_path: Path) -> Path:
    """A copy of the store that has one job more."""
    file = tmp_path / "other.db"
    shutil.copy(own_store.removeprefix("sqlite:///"), file)
    with open_store(f"sqlite:///{file}") as store:
        job = JobRecord("later-1", "search", JobState.DONE, 0, "", 1.0, 1.0, "done", "", {"studies": []}, 1.0)
        store.put_job(job)
    return file


@pytest.mark.parametrize("is_gone_first", [False, True])
def test_the_new_store_is_shown(open_page, own_store, other, is_gone_first):
    file = Path(own_store.removeprefix("sqlite:///"))
    page = open_page("jobs", own_store)
    assert "No job has run in this store yet" in page.info[0].value
    for journal in JOURNALS[1:]:
        Path(f"{file}{journal}").unlink(missing_ok=True)
    if is_gone_first:
        file.unlink()
        page.run()
        assert "nothing in the store" in page.info[0].value
    os.replace(other, file)
    page.run()
    assert not page.exception
    assert [title.value for title in page.subheader] == ["Job later-1"]
