"""Data of the map on the Space page, cached for all sessions like the tables of ``services``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from explorer.analysis import projections
from explorer.analysis.projections import Projection
from explorer.app.search import launching
from explorer.app.shared import services
from explorer.app.space import map_values
from explorer.studies.jobs import is_alive, launch
from graphstore.records import JobRecord

PROJECT = "project"
"""Kind of a job that computes a t-SNE."""


@st.cache_data(show_spinner=False, max_entries=8)
def _pca(url: str, space: str, revision: int) -> Projection:
    return projections.pca(services.store().embeddings(space))


def pca(space: str) -> Projection:
    """Return the first two principal components of a space's vectors."""
    return _pca(services.store_url(), space, services.store().revision("library"))


@st.cache_data(show_spinner=False, max_entries=8)
def _tsne_file(url: str, space: str, seed: int, revision: int) -> Path:
    store = services.store()
    return projections.tsne_file(store.url, store.embeddings(space), seed)


@st.cache_data(show_spinner=False, max_entries=8)
def _tsne(url: str, space: str, seed: int, file: Path, written: int) -> Projection | None:
    store = services.store()
    return projections.kept_tsne(store.url, store.embeddings(space), seed)


def tsne(space: str, seed: int) -> Projection | None:
    """Return the t-SNE of a space with this seed; ``None`` if it has not been computed yet."""
    file = _tsne_file(services.store_url(), space, seed, services.store().revision("library"))
    try:
        written = file.stat().st_mtime_ns
    except OSError:
        return None
    return _tsne(services.store_url(), space, seed, file, written)


@st.cache_data(show_spinner=False, max_entries=8)
def _shares(url: str, space: str, revision: int) -> pd.DataFrame:
    return map_values.layer_shares(services.layers(space))


def layer_shares(space: str) -> pd.DataFrame:
    """Return the share of each architecture's layers with each operation; see ``map_values.layer_shares``."""
    return _shares(services.store_url(), space, services.store().revision("library"))


@st.cache_data(show_spinner=False, max_entries=8)
def _measured(url: str, space: str, revision: tuple[int, int]) -> dict[str, pd.Series]:
    return map_values.measured_values(services.store().measurements(space=space))


def measured(space: str) -> dict[str, pd.Series]:
    """Return measured values by device and quantity; see ``map_values.measured_values``."""
    store = services.store()
    return _measured(services.store_url(), space, (store.revision("scores"), store.revision("library")))


def job_for(jobs: list[JobRecord], space: str, seed: int) -> JobRecord | None:
    """Return the job that is computing this t-SNE, if any."""
    wanted = arguments(space, seed)
    return next((job for job in jobs if is_alive(job) and launching.arguments_of(job) == wanted), None)


def arguments(space: str, seed: int) -> list[str]:
    """Return the arguments of ``archex`` that compute a t-SNE."""
    return ["project", space, "--seed", str(seed)]


def start(space: str, seed: int, jobs: list[JobRecord]) -> JobRecord:
    """Start a background job that computes a t-SNE.

    Raises:
        InputError: the space is too small or too large, or too many jobs are running.
    """
    projections.check_tsne(len(services.architectures(space)))
    launching.require_room(jobs)
    return launch(services.store(), PROJECT, arguments(space, seed), {"space": space, "studies": []})
