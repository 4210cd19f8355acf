"""Two visitors who start something at the same moment, and a machine that refuses to write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from explorer.app.search import launching
from explorer.app.shared import services
from explorer.errors import InputError
from explorer.studies.jobs import stop_job, studies_of
from explorer.testing.searches import search
from graphstore import open_store

VISITORS = 5


def test_of_visitors_who_launch_at_once_only_as_many_as_may(own_store):
    """All see a store in which nothing runs; the first two ask for the same study."""
    begin = Barrier(VISITORS)

    def launch(visitor: int) -> str:
        spec = search(f"study-{max(visitor, 1)}", "nano", budget=1)
        begin.wait()
        try:
            with services.starting(store) as jobs:
                return launching.start(store, spec, launching.Place(), jobs).id
        except InputError as error:
            return error.field

    with open_store(own_store) as store:
        try:
            with ThreadPoolExecutor(VISITORS) as pool:
                found = list(pool.map(launch, range(VISITORS)))
            jobs = store.jobs()
        finally:
            for job in store.jobs():
                stop_job(store, job.id)
    names = [name for job in jobs for name in studies_of(job)]
    assert len(names) == len(set(names)) == launching.MAX_ACTIVE_JOBS
    refused = [name for name in found if name in ("running jobs", "study name")]
    assert len(refused) == VISITORS - launching.MAX_ACTIVE_JOBS


def test_a_machine_that_refuses_is_a_message(open_page, own_store):
    """Nothing can be written beside the store: no job begins, and the page says why."""
    Path(f"{own_store.removeprefix('sqlite:///')}.files").write_text("not a folder")
    page = open_page("search", own_store)
    page.button(key="search_launch").click().run()
    assert not page.exception
    assert ".files" in page.error[0].value.replace("\\", "")
    with open_store(own_store) as store:
        assert store.jobs() == []
        assert store.studies() == []
