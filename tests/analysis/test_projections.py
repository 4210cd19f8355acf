"""Projections: reproducible, faithful as stated, kept once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.decomposition import PCA
from typer.testing import CliRunner

from explorer.analysis.projections import MOST_TSNE, check_tsne, kept_tsne, make_tsne, pca, tsne, tsne_file
from explorer.cli.main import build
from explorer.errors import InputError
from explorer.progress import SilentReporter
from graphstore import open_store
from graphstore.records import Embeddings, JobState


def vectors(count: int, width: int = 5, seed: int = 0) -> Embeddings:
    drawn = np.random.default_rng(seed).normal(size=(count, width)) * np.arange(width, 0, -1)
    return Embeddings(tuple(f"{n:024x}" for n in range(count)), drawn.astype(np.float32))


def test_pca_is_scikit_learns():
    made, embeddings = pca(vectors(80)), vectors(80)
    model = PCA(2).fit(embeddings.vectors.astype(np.float64))
    places = model.transform(embeddings.vectors.astype(np.float64))
    signs = np.sign((places * made.points.to_numpy()).sum(axis=0))
    assert made.points.to_numpy() == pytest.approx(places * signs)
    assert made.held == pytest.approx(tuple(model.explained_variance_ratio_))
    # Turned around, everything lies where it lay.
    again = pca(Embeddings(embeddings.ids, embeddings.vectors))
    assert again.points.equals(made.points)


@pytest.mark.parametrize(("count", "width"), [(0, 0), (1, 4), (2, 4), (3, 1), (5, 4)])
def test_pca_of_very_few(count, width):
    made = pca(vectors(count, width))
    assert made.points.shape == (count, 2)
    assert np.isfinite(made.points.to_numpy()).all()
    assert made.kept != made.kept or 0 <= made.kept <= 1


def test_the_share_of_kept_neighbours_is_counted():
    embeddings = vectors(60)
    made = pca(embeddings)
    full, flat = (
        np.argsort(np.linalg.norm(side[:, None] - side[None], axis=2), axis=1)[:, 1:11]
        for side in (embeddings.vectors.astype(float), made.points.to_numpy())
    )
    assert made.kept == pytest.approx(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(full, flat, strict=True)]))
    assert pca(vectors(60, 2)).kept == 1.0


def test_tsne_is_reproducible_and_keeps_more_neighbours_than_the_pca():
    centers = np.random.default_rng(1).normal(size=(8, 12)) * 6
    drawn = np.repeat(centers, 15, axis=0) + np.random.default_rng(2).normal(size=(120, 12))
    embeddings = Embeddings(tuple(f"{n:024x}" for n in range(120)), drawn.astype(np.float32))
    made = tsne(embeddings, 0, SilentReporter())
    assert made.points.equals(tsne(embeddings, 0, SilentReporter()).points)
    assert made.kept > pca(embeddings).kept
    assert made.settings["seed"] == 0


@pytest.mark.parametrize("count", [0, 9, MOST_TSNE + 1])
def test_tsne_has_limits(count):
    with pytest.raises(InputError):
        check_tsne(count)


def test_the_command_computes_once_and_a_damaged_file_is_no_projection(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    from explorer.library.library import Library
    from explorer.space.grammar import load_space

    with open_store(url) as store:
        specs = load_space("nano").sample(14, np.random.default_rng(5))
        Library.build(store, "nano", specs, SilentReporter(), source={"test": True}, title="")
        embeddings = store.embeddings("nano")
        assert kept_tsne(store.url, embeddings, 0) is None
        done = CliRunner().invoke(build("project"), ["project", "nano", "--store", url, "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout.splitlines()[-1])["architectures"] == 14
        assert [(job.kind, job.state) for job in store.jobs()] == [("project", JobState.DONE)]
        found, file = kept_tsne(store.url, embeddings, 0), tsne_file(store.url, embeddings, 0)
        assert found is not None
        written = file.stat().st_mtime_ns
        assert make_tsne(store, "nano", 0, SilentReporter()).points.equals(found.points)
        assert file.stat().st_mtime_ns == written
        assert kept_tsne(store.url, embeddings, 1) is None
        file.write_bytes(file.read_bytes()[:40])
        assert kept_tsne(store.url, embeddings, 0) is None
        assert make_tsne(store, "nano", 0, SilentReporter()).points.equals(found.points)
