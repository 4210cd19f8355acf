"""Processes and broken transactions on one SQLite file; what holds for both engines is in test_many_users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.errors import StoreError
from graphstore.testing import samples


def prepare(tmp_path: Path, trials: int) -> str:
    url = f"sqlite:///{tmp_path}/store.db"
    with open_store(url) as store:
        records = samples.architectures(trials)
        store.put_space(samples.space())
        store.add_architectures("nano", records)
        store.create_study(samples.study())
        store.add_trials("first", [(record.id, {}) for record in records])
    return url


def test_processes_create_one_store(tmp_path: Path):
    code = (
        "import sys; from graphstore import open_store; from graphstore.records import SpaceRecord\n"
        "with open_store(sys.argv[1]) as store: store.put_space(SpaceRecord(sys.argv[2]))"
    )
    url = f"sqlite:///{tmp_path}/store.db"
    makers = [subprocess.Popen([sys.executable, "-c", code, url, f"s{index}"]) for index in range(6)]
    assert [maker.wait(60) for maker in makers] == [0] * 6
    with open_store(url) as store:
        assert [space.name for space in store.spaces()] == [f"s{index}" for index in range(6)]


def test_store_carried_over_a_fork_is_refused(tmp_path: Path):
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        child = os.fork()
        if not child:
            try:
                store.spaces()
            except StoreError as error:
                os._exit(0 if "fork" in str(error) else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.spaces() == []


@pytest.mark.parametrize("kind", ["reader", "writer"])
def test_exception_in_a_transaction_frees_the_store(tmp_path: Path, kind: str):
    url = prepare(tmp_path, 2)
    with open_store(url) as store, open_store(url) as other:
        database = store._database
        transaction = database.reading if kind == "reader" else database.writing

        def interrupted():
            with transaction() as db:
                db.execute("SELECT 1")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        other.put_space(samples.space("after"))
        assert store.space("after").name == "after"
