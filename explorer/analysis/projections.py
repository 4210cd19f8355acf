"""Two-dimensional projections of a space's vectors, reproducible from their settings.

* **PCA**: the two principal components of all vectors of the space, signed so that the largest weight is positive. It
  is deterministic.
* **t-SNE** (van der Maaten and Hinton 2008, scikit-learn's Barnes-Hut implementation) preserves neighbourhoods, not
  distances. It is initialised with the PCA and runs for a fixed number of rounds. Because that takes about a minute for
  ten thousand architectures, a job computes it once and saves it next to the store, under a digest of vectors, seed and
  settings.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.library.workplace import work_folder
from explorer.progress import Reporter
from graphstore import GraphStore
from graphstore.records import Embeddings

NEAREST = 10
"""Number of nearest neighbours by which faithfulness is measured."""
MOST_COUNTED = 2000
"""Most architectures whose neighbours are compared, evenly spaced over the space."""
FEWEST_TSNE, MOST_TSNE = 10, 20_000
"""Smallest and largest number of architectures for t-SNE; more would take many minutes."""
PERPLEXITY, ROUNDS, STEPS, EXAGGERATION = 30.0, 3, 250, 12.0
"""Settings of t-SNE; only the first round uses early exaggeration."""


class Method(StrEnum):
    """Method of a projection."""

    PCA = "pca"
    TSNE = "tsne"


TITLES = {Method.PCA: "PCA of the kernel vectors", Method.TSNE: "t-SNE of the kernel vectors"}


@dataclass(frozen=True)
class Projection:
    """A two-dimensional projection of a space.

    Attributes:
        method: see the module's description.
        settings: all numbers it depends on in addition to the vectors; JSON-able.
        points: indexed by id, with ``x`` and ``y``.
        held: share of the vectors' total variance along each axis, 0 to 1; ``None`` if the axes have no meaning.
        kept: share, 0 to 1, of the ten nearest neighbours by all coordinates that are among the ten nearest in the
            projection; NaN for spaces of two or fewer.
    """

    method: Method
    settings: Mapping[str, Any]
    points: pd.DataFrame
    held: tuple[float, float] | None
    kept: float

    @property
    def axes(self) -> tuple[str, str]:
        """The titles of the axes."""
        if self.held is None:
            return "t-SNE 1", "t-SNE 2"
        first, second = self.held
        return f"principal component 1 ({first:.0%} of the variance)", f"principal component 2 ({second:.0%})"


def pca(embeddings: Embeddings) -> Projection:
    """Return the first two principal components of all vectors of a space."""
    places, held = _components(np.asarray(embeddings.vectors, dtype=np.float64))
    settings = {"components": 2, "coordinates": int(embeddings.vectors.shape[1])}
    return Projection(Method.PCA, settings, _frame(embeddings, places), held, _kept(embeddings, places))


def tsne(embeddings: Embeddings, seed: int, reporter: Reporter) -> Projection:
    """Compute the t-SNE of all vectors of a space; about a minute for ten thousand.

    Args:
        embeddings: the vectors of the space.
        seed: random state of scikit-learn's TSNE.
        reporter: receives the progress after each round.

    Raises:
        InputError: there are too few or too many vectors.
    """
    from sklearn.manifold import TSNE

    check_tsne(len(embeddings.ids))
    vectors = np.asarray(embeddings.vectors, dtype=np.float64)
    count = len(vectors)
    settings = tsne_settings(count, seed)
    places, _ = _components(vectors)
    # scikit-learn scales its own PCA initialisation in this way.
    places = places / max(float(places[:, 0].std()), 1e-12) * 1e-4
    for turn in range(ROUNDS):
        reporter.update("t-SNE", turn, ROUNDS, f"round {turn + 1} of {ROUNDS}, {count:,} architectures")
        model = TSNE(
            2,
            perplexity=settings["perplexity"],
            early_exaggeration=EXAGGERATION if turn == 0 else 1.0,
            learning_rate=settings["learning_rate"],
            max_iter=STEPS,
            init=places.astype(np.float32),
            random_state=seed,
            n_jobs=1,
        )
        places = np.asarray(model.fit_transform(vectors.astype(np.float32)), dtype=np.float64)
    reporter.update("t-SNE", ROUNDS, ROUNDS)
    return Projection(Method.TSNE, settings, _frame(embeddings, places), None, _kept(embeddings, places))


def check_tsne(count: int) -> None:
    """Raise InputError if a space is too small or too large for t-SNE."""
    if not FEWEST_TSNE <= count <= MOST_TSNE:
        rule = f"have from {FEWEST_TSNE} to {MOST_TSNE:,} vectors for t-SNE"
        raise InputError("space", rule, count, "Use the PCA.")


def tsne_settings(count: int, seed: int) -> dict[str, Any]:
    """Return all settings of the t-SNE of ``count`` vectors."""
    return {
        "perplexity": min(PERPLEXITY, (count - 1) / 3),
        "rounds": ROUNDS,
        "steps": STEPS,
        "exaggeration": EXAGGERATION,
        "learning_rate": max(count / EXAGGERATION / 4, 50.0),
        "start": "pca",
        "seed": seed,
    }


def tsne_file(store_url: str, embeddings: Embeddings, seed: int) -> Path:
    """Return the path of the saved t-SNE of exactly these vectors."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(json.dumps([embeddings.ids, tsne_settings(len(embeddings.ids), seed)]).encode())
    digest.update(np.ascontiguousarray(embeddings.vectors, dtype=np.float32).tobytes())
    return work_folder(store_url) / "projections" / f"tsne-{digest.hexdigest()}.npz"


def make_tsne(store: GraphStore, space: str, seed: int, reporter: Reporter) -> Projection:
    """Return the saved t-SNE of a space; compute and save it if there is none.

    Raises:
        InputError: the space has too few or too many vectors.
        NotFoundError: the space does not exist.
    """
    store.space(space)
    embeddings = store.embeddings(space)
    found = kept_tsne(store.url, embeddings, seed)
    if found is not None:
        return found
    made, file = tsne(embeddings, seed, reporter), tsne_file(store.url, embeddings, seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        np.savez(stream, places=made.points.to_numpy(), kept=made.kept)
    temporary.replace(file)
    return made


def kept_tsne(store_url: str, embeddings: Embeddings, seed: int) -> Projection | None:
    """Return the saved t-SNE of these vectors; ``None`` if there is none or its file is damaged."""
    try:
        # Open the file here, because numpy leaves a damaged one open.
        with tsne_file(store_url, embeddings, seed).open("rb") as stream, np.load(stream) as held:
            places, kept = held["places"], float(held["kept"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    if places.shape != (len(embeddings.ids), 2):
        return None
    settings = tsne_settings(len(embeddings.ids), seed)
    return Projection(Method.TSNE, settings, _frame(embeddings, places), None, kept)


def _components(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Places ``[N, 2]`` along the first two principal components, and their shares of the variance."""
    places, held = np.zeros((len(vectors), 2)), [0.0, 0.0]
    if len(vectors) > 1 and vectors.shape[1]:
        centred = vectors - vectors.mean(axis=0)
        # Decompose [d, d] instead of [N, d]: N may be large and d is small.
        values, directions = np.linalg.eigh(centred.T @ centred)
        values, directions = values[::-1].clip(min=0.0), directions[:, ::-1]
        signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
        width = min(2, vectors.shape[1])
        places[:, :width] = centred @ (directions * signs)[:, :width]
        total = float(values.sum())
        held[:width] = [float(value) / total if total > 0 else 0.0 for value in values[:width]]
    return places, (held[0], held[1])


def _frame(embeddings: Embeddings, places: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(places, columns=["x", "y"], index=pd.Index(embeddings.ids, name="id", dtype=object))


def _kept(embeddings: Embeddings, places: NDArray[np.float64]) -> float:
    """Return the share of nearest neighbours by all coordinates that are also nearest by these two."""
    from sklearn.neighbors import KDTree

    count = len(places)
    near = min(NEAREST, count - 2)
    if near < 1:
        return float("nan")
    asked = np.unique(np.linspace(0, count - 1, min(count, MOST_COUNTED)).astype(np.int64))
    shares = []
    sides = [np.asarray(embeddings.vectors, dtype=np.float64), places]
    full, flat = (KDTree(side).query(side[asked], near + 1, return_distance=False) for side in sides)
    for row, first, second in zip(asked, full, flat, strict=True):
        # With ties another point may sort first, so drop the query point by index.
        one, other = ([index for index in found if index != row][:near] for found in (first, second))
        shares.append(len(set(one) & set(other)) / near)
    return float(np.mean(shares))
