"""Neighbours by overlap against naive loops."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.overlap import (
    NO_LAYER,
    layer_codes,
    leading_overlap,
    overlap_neighbors,
    overlap_neighbors_of,
)
from explorer.space.grammar import load_space


def grid(count: int, seed: int) -> np.ndarray:
    """Points with many equal distances and some equal points, exact in binary."""
    return np.random.default_rng(seed).integers(0, 4, (count, 3)) / 4


def naive_overlap(first: np.ndarray, second: np.ndarray) -> int:
    count = 0
    for one, two in zip(first, second, strict=True):
        if one != two or one == NO_LAYER:
            break
        count += 1
    return count


def library(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (count, 4))
    codes[rng.random(count) < 0.3, 2:] = NO_LAYER
    codes[rng.random(count) < 0.1] = NO_LAYER
    return codes, grid(count, seed)


def test_overlap_equals_a_loop():
    codes, _ = library(60, 2)
    exact = [[naive_overlap(one, two) for two in codes] for one in codes[:25]]
    np.testing.assert_array_equal(leading_overlap(codes[:25], codes), exact)


def test_overlap_neighbours_equal_a_naive_sort():
    codes, vectors = library(600, 3)
    indices, overlap, distances = overlap_neighbors(codes, vectors, 12)
    query_codes, query_vectors = library(30, 4)
    of_queries = overlap_neighbors_of(query_codes, query_vectors, codes, vectors, 12)
    assert indices.shape == overlap.shape == distances.shape == (600, 12)

    def check(code: np.ndarray, vector: np.ndarray, own: int, found: tuple[np.ndarray, ...]) -> None:
        exact = np.linalg.norm(vectors - vector, axis=1)
        order = sorted(
            (-naive_overlap(code, codes[j]), round(exact[j] ** 2, 9), j) for j in range(len(codes)) if j != own
        )[:12]
        assert list(found[0]) == [j for _, _, j in order]
        assert list(found[1]) == [-lack for lack, _, _ in order]
        np.testing.assert_allclose(found[2], exact[found[0]])

    for row in range(0, 600, 23):
        check(codes[row], vectors[row], row, (indices[row], overlap[row], distances[row]))
    for row in range(30):
        check(query_codes[row], query_vectors[row], -1, tuple(part[row] for part in of_queries))


def test_overlap_comes_before_any_distance():
    codes = np.array([[0, 1], [0, 1], [0, 2]])
    vectors = np.array([[0.0], [1e6], [1e-6]])
    indices, overlap, distances = overlap_neighbors(codes, vectors, 2)
    assert indices[0].tolist() == [1, 2]
    assert overlap[0].tolist() == [2, 1]
    np.testing.assert_allclose(distances[0], [1e6, 1e-6])


def test_layers_are_numbered_by_equality():
    specs = list(load_space("nano"))[:80]
    codes = layer_codes(specs)
    assert codes.shape == (80, max(len(spec.layers) for spec in specs))
    for one in range(0, 80, 9):
        for two in range(0, 80, 7):
            same = naive_overlap(codes[one], codes[two])
            layers = zip(specs[one].layers, specs[two].layers, strict=False)
            equal = [first == second for first, second in layers]
            assert same == (equal.index(False) if False in equal else len(equal))
    assert (codes[[len(spec.layers) < codes.shape[1] for spec in specs], -1] == NO_LAYER).all()


def test_codes_and_vectors_must_belong_together():
    codes, vectors = library(10, 5)
    with pytest.raises(InputError, match="one vector for each"):
        overlap_neighbors(codes, vectors[1:], 2)
    with pytest.raises(InputError, match="as many columns"):
        overlap_neighbors_of(codes[:, :3], vectors, codes, vectors, 2)
