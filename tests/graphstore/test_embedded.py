"""The embedded engine keeps the contract."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import pytest

from graphstore import GraphStore, open_store
from graphstore.testing import GraphStoreSuite


class TestEmbeddedStore(GraphStoreSuite):
    @pytest.fixture
    def reopen(self, tmp_path: Path):
        handles: list[GraphStore] = []

        def open_one() -> GraphStore:
            handles.append(open_store(f"sqlite:///{tmp_path / 'store.db'}"))
            return handles[-1]

        yield open_one
        for handle in handles:
            handle.close()

    @pytest.fixture
    def store(self, reopen) -> GraphStore:
        return reopen()

    @pytest.fixture
    def fresh(self, tmp_path: Path):
        with contextlib.ExitStack() as opened:
            numbers = itertools.count()
            yield lambda: opened.enter_context(open_store(f"sqlite:///{tmp_path / f'fresh-{next(numbers)}.db'}"))
