"""Synthetic objectives over real graphs: shapes of functions that a search must not be fooled by, none used for tuning.

Each family maps the architectures of a space, with the vectors of their graphs, to scores, larger is better. A draw
decides which architectures, axes and operations are meant, so another seed is another objective of the same family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from explorer.similarity.graph import build_graph
from explorer.similarity.registry import kernel_named
from explorer.space.grammar import load_space
from explorer.space.spec import ArchitectureSpec

Array = NDArray[np.float64]
Family: TypeAlias = Callable[[list[ArchitectureSpec], Array, np.random.Generator], Array]
"""Maps ``N`` specs, their vectors ``[N, d]`` and a generator to scores ``[N]``."""
COUNT, LEADING, ISLAND = 600, 6, 12
"""Architectures of an objective; axes that a trend is of; architectures of an island."""


def architectures(space: str, seed: int, count: int = COUNT) -> tuple[list[ArchitectureSpec], Array]:
    """Distinct architectures of a space, and their vectors ``[N, d]``."""
    specs = list(dict.fromkeys(load_space(space).sample(2 * count, np.random.default_rng([11, seed]))))[:count]
    vectors = kernel_named("views").fit([build_graph(spec) for spec in specs]).vectors
    return specs, vectors.astype(float)


def trend(vectors: Array, rng: np.random.Generator) -> Array:
    """A random linear function of the leading axes, of deviation 1, ``[N]``."""
    leading = vectors[:, :LEADING]
    found = leading @ (rng.normal(size=leading.shape[1]) / np.maximum(leading.std(axis=0), 1e-9))
    return (found - found.mean()) / found.std()


def smooth(vectors: Array, rng: np.random.Generator) -> Array:
    """A random function that is smooth in the vectors, of deviation about 1, by random Fourier features, ``[N]``."""
    spread = np.median(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1))
    waves = rng.normal(size=(vectors.shape[1], 64)) / spread
    found = np.cos(vectors @ waves + rng.uniform(0, 2 * np.pi, 64)) @ rng.normal(size=64)
    return (found - found.mean()) / found.std()


def nearest(vectors: Array, centre: int, count: int) -> Array:
    """1 for one architecture, falling to 0.9 over those nearest to it, and 0 for all others, ``[N]``."""
    distance = np.linalg.norm(vectors - vectors[centre], axis=1)
    order = np.argsort(distance, kind="stable")[:count]
    found = np.zeros(len(vectors))
    found[order] = 1.0 - 0.1 * np.arange(count) / count
    return found


def island(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """A trend, and the best ones together at its lowest end."""
    values = trend(vectors, rng)
    return values + 7.0 * nearest(vectors, int(values.argmin()), ISLAND)


def deceptive(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """A trend whose lowest twentieth is the best, the lowest of all first."""
    values = trend(vectors, rng)
    low = np.quantile(values, 0.05)
    return np.where(values < low, values.max() + low - values, values)


def noise(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """Nothing to learn."""
    return rng.normal(size=len(specs))


def plateau(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """Flat for nine tenths, then a slope."""
    values = smooth(vectors, rng)
    return np.maximum(values - np.quantile(values, 0.9), 0.0) + 1e-3 * rng.normal(size=len(specs))


def equal_optima(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """Smooth, in a few steps: forty are equally good."""
    values = smooth(vectors, rng)
    return np.minimum(np.round(2.0 * values) / 2.0, np.sort(values)[-40])


def heavy_tails(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """Smooth, with noise whose outliers are far out."""
    return smooth(vectors, rng) + 0.3 * rng.standard_t(2, size=len(specs))


def dead_operation(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """Smooth, but architectures with one of the operations fail to learn."""
    operations = sorted({operation for spec in specs for operation in _operations(spec)})
    dead = operations[int(rng.integers(len(operations)))]
    has = np.array([dead in _operations(spec) for spec in specs])
    return smooth(vectors, rng) - 5.0 * has + 0.1 * rng.normal(size=len(specs))


def corner(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """The farther along a random direction the better."""
    return trend(vectors, rng) + 0.1 * rng.normal(size=len(specs))


def middle(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """The nearer to an architecture near the middle the better."""
    distance = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
    centre = rng.choice(np.argsort(distance, kind="stable")[: len(specs) // 10])
    far = np.linalg.norm(vectors - vectors[centre], axis=1)
    return -far / far.std() + 0.1 * rng.normal(size=len(specs))


def interaction(specs: list[ArchitectureSpec], vectors: Array, rng: np.random.Generator) -> Array:
    """Good only with one operation in the first layer and another one in the last; either alone is bad."""
    first, last = ([_operations(spec)[place] for spec in specs] for place in (0, -1))
    wanted = [values[int(rng.integers(len(values)))] for values in (sorted(set(first)), sorted(set(last)))]
    one, other = (np.array([v == w for v in values]) for values, w in zip((first, last), wanted, strict=True))
    return 3.0 * (one & other) - 1.0 * (one ^ other) + 0.5 * smooth(vectors, rng)


def _operations(spec: ArchitectureSpec) -> list[str]:
    return ["+".join(sorted({f"{head.family} {head.parameter}" for head in layer.heads})) for layer in spec.layers]


FAMILIES: Mapping[str, Family] = {
    family.__name__: family
    for family in (
        island,
        deceptive,
        noise,
        plateau,
        equal_optima,
        heavy_tails,
        dead_operation,
        corner,
        middle,
        interaction,
    )
}
