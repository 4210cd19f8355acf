"""The open store and its tables, cached for all sessions.

Tables are cached by the store's revision of their topic, so they are read again only after a change.
Functions propagate StoreError; ``components.guarded`` shows it on the page.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import streamlit as st

from explorer.analysis import tables
from explorer.analysis.architectures import FoundArchitecture
from explorer.analysis.architectures import find_architecture as find_architecture_of
from explorer.app.shared import frames
from explorer.library.library import Library
from explorer.library.settings import is_finished, neighbors_kernel
from explorer.library.sources import is_trained
from explorer.library.workplace import DEFAULT_STORE, STORE_VARIABLE, store_is_missing
from explorer.studies import frames as pictures
from explorer.studies.jobs import refresh_jobs
from graphstore import GraphStore, open_store
from graphstore.errors import NotFoundError
from graphstore.records import ArchitectureRecord, JobRecord, NeighborRecord, SpaceRecord
from graphstore.url import SQLITE_PREFIX

LONGEST_NAME = 64
"""Most characters of an id or a name in a URL or a form."""


def store_url() -> str:
    """Return the store URL from the environment."""
    return os.environ.get(STORE_VARIABLE) or DEFAULT_STORE


@dataclass(frozen=True)
class _Opened:
    """An open store and the identity of its file."""

    store: GraphStore
    file: tuple[int, int] | None


@st.cache_resource(show_spinner="Opening the store …", on_release=lambda opened: opened.store.close())
def _opened(url: str) -> _Opened:
    file = _file(url)
    return _Opened(open_store(url, create=False), file)


def _open(url: str) -> GraphStore:
    return _opened(url).store


def _file(url: str) -> tuple[int, int] | None:
    """Return the identity of the store's file; ``None`` for a missing file or a server."""
    if not url.startswith(SQLITE_PREFIX):
        return None
    try:
        found = Path(url.removeprefix(SQLITE_PREFIX)).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_missing() -> bool:
    """Return whether the store is a file that does not exist; the app never creates one."""
    return store_is_missing(store_url())


def store() -> GraphStore:
    """Return the open store, shared by all sessions.

    Raises:
        StoreError: the store is missing, not a store, of a newer version, or does not answer.
    """
    url = store_url()
    if _opened(url).file != _file(url):
        # A restored store restarts its revision count, so cached tables of the old file could look current.
        st.cache_data.clear()
        st.cache_resource.clear()
    return _open(url)


@st.cache_resource(show_spinner=False)
def _one_at_a_time() -> threading.Lock:
    return threading.Lock()


@contextmanager
def starting(opened: GraphStore) -> Iterator[list[JobRecord]]:
    """Yield the current jobs under a lock, so that limits on running jobs hold across sessions."""
    with _one_at_a_time():
        yield refresh_jobs(opened)


def spaces() -> list[SpaceRecord]:
    """Return all spaces, sorted by name."""
    return store().spaces()


def space(name: str) -> SpaceRecord:
    """One space. Raises NotFoundError."""
    return store().space(name)


@st.cache_data(show_spinner=False, max_entries=8)
def _architectures(url: str, space: str, revision: int) -> pd.DataFrame:
    return tables.architectures_frame(_open(url).summaries(space))


def architectures(space: str) -> pd.DataFrame:
    """Return one row per architecture of a space; see ``tables.architectures_frame``."""
    return _architectures(store_url(), space, store().revision("library"))


@st.cache_data(show_spinner=False, max_entries=8)
def _layers(url: str, space: str, revision: int) -> pd.DataFrame:
    return frames.layers_frame(_open(url).summaries(space))


def layers(space: str) -> pd.DataFrame:
    """Return one row per layer of a space's architectures; see ``frames.layers_frame``."""
    return _layers(store_url(), space, store().revision("library"))


@st.cache_data(show_spinner=False, max_entries=8)
def _map_points(url: str, space: str, revision: int) -> tuple[pd.DataFrame, tables.Spread]:
    return pictures.map_points(_open(url), space)


def map_points(space: str) -> tuple[pd.DataFrame, tables.Spread]:
    """Return the architectures of a space with coordinates ``x`` and ``y``, and the explained variance of both axes."""
    return _map_points(store_url(), space, store().revision("library"))


@st.cache_data(show_spinner=False, max_entries=8)
def _scores(url: str, space: str, revision: tuple[int, int]) -> pd.DataFrame:
    return frames.scores_frame(_open(url).scores(space=space))


def scores(space: str) -> pd.DataFrame:
    """Return one row per score of a space's architectures; see ``frames.scores_frame``."""
    opened = store()
    # A score joins a space together with its architecture, which changes the library's revision.
    return _scores(store_url(), space, (opened.revision("scores"), opened.revision("library")))


@st.cache_data(show_spinner=False, max_entries=64)
def _architecture(url: str, id: str, revision: int) -> ArchitectureRecord:
    return _open(url).architecture(id)


def architecture(id: str) -> ArchitectureRecord:
    """Return one complete architecture by id or unique prefix.

    Raises:
        NotFoundError: no id, or more than one, begins like this.
    """
    return _architecture(store_url(), id, store().revision("library"))


def find_architecture(text: str, known: pd.DataFrame) -> FoundArchitecture:
    """Find the architecture that a visitor means; see ``explorer.analysis.architectures``.

    Args:
        text: the visitor's words.
        known: architectures whose names count, as ``architectures`` returns them.

    Raises:
        InputError: the text does not name exactly one architecture.
    """
    names = {str(id): str(name) for id, name in known["name"].items()}
    found = find_architecture_of(text[:LONGEST_NAME], architecture, lambda: names)
    if found.stored:
        return found
    try:
        record = architecture(found.id)
    except NotFoundError:
        return found
    return replace(found, label=tables.architecture_label(record.id, record.name), stored=True)


def has_published(space: str) -> bool:
    """Return whether the space has scores that no study of this store trained."""
    return not scores(space)["source"].map(is_trained).all()


def neighbors(space: str, id: str) -> list[NeighborRecord]:
    """Return the stored nearest neighbours of an architecture, by rank."""
    opened = store()
    return opened.neighbors(space, id, neighbors_kernel(opened.space(space).info))


@st.cache_resource(show_spinner="Loading the library …", max_entries=4)
def _library(url: str, space: str, version: tuple[object, ...]) -> Library:
    opened = Library.open(_open(url), space)
    opened.fitted  # noqa: B018 - load the kernel inside the spinner
    return opened


def library(space: SpaceRecord) -> Library | None:
    """Return the library of a space with its kernel, shared by all visitors; ``None`` if it is not finished."""
    if not is_finished(space.info):
        return None
    opened = store()
    version = (opened.count(space.name), *opened.fitted_kernels(space.name).values())
    return _library(store_url(), space.name, version)


def space_of(id: str, preferred: str | None = None) -> str | None:
    """Return a space that holds the architecture: the preferred one if possible, else the first by name."""
    names = [space.name for space in spaces()]
    ordered = [name for name in names if name == preferred] + [name for name in names if name != preferred]
    return next((name for name in ordered if id in architectures(name).index), None)
