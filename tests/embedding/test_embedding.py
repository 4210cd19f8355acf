"""Classical scaling against scipy's exact solution, and the exact nearest neighbours."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from explorer.embedding.mds import classical_mds, rank_agreement
from explorer.embedding.neighbors import nearest_in_rows


def test_distances_of_a_euclidean_configuration_are_recovered():
    points = np.random.default_rng(0).normal(size=(200, 6))
    distances = squareform(pdist(points))
    vectors = classical_mds(distances.astype(np.float32), 6, np.random.default_rng(1))
    np.testing.assert_allclose(squareform(pdist(vectors)), distances, atol=1e-3)


def test_equal_to_the_full_eigendecomposition_where_nothing_fits_exactly():
    rng = np.random.default_rng(2)
    noise = rng.random((120, 120))
    points = rng.normal(size=(120, 4)) * 3
    dissimilarities = squareform(pdist(points)) + 0.2 * (noise + noise.T)
    np.fill_diagonal(dissimilarities, 0)
    centre = np.eye(120) - 1 / 120
    values, axes = np.linalg.eigh(-0.5 * centre @ dissimilarities**2 @ centre)
    exact = axes[:, ::-1][:, :4] * np.sqrt(values[::-1][:4])
    ours = classical_mds(dissimilarities.astype(np.float32), 4, np.random.default_rng(3))
    np.testing.assert_allclose(np.abs(ours), np.abs(exact), atol=2e-2)


def test_the_same_numbers_give_the_same_map_whatever_the_probes():
    points = np.random.default_rng(4).normal(size=(100, 3)) * [5, 2, 1]
    distances = squareform(pdist(points)).astype(np.float32)
    first = classical_mds(distances.copy(), 3, np.random.default_rng(5))
    second = classical_mds(distances.copy(), 3, np.random.default_rng(6))
    np.testing.assert_allclose(first, second, atol=1e-2)


def test_a_tiny_set_has_zero_columns_beyond_its_rank():
    vectors = classical_mds(np.array([[0, 1], [1, 0]], dtype=np.float32), 16, np.random.default_rng(0))
    assert vectors.shape == (2, 16)
    assert np.linalg.norm(vectors[0] - vectors[1]) == pytest.approx(1.0, abs=1e-4)
    assert not vectors[:, 2:].any()


def test_agreement_is_one_for_distances_in_the_same_order():
    vectors = np.array([[0.0], [1.0], [3.0]])
    first, second = np.array([0, 1, 0]), np.array([1, 2, 2])
    assert rank_agreement(vectors, first, second, np.array([0.1, 0.2, 0.9])) == pytest.approx(1.0)
    assert rank_agreement(vectors, first, second, np.array([0.9, 0.2, 0.1])) == pytest.approx(-1.0)


def test_neighbours_equal_a_naive_sort_with_ties_by_index():
    rng = np.random.default_rng(7)
    matrix = rng.integers(0, 6, (40, 40)) / 6
    matrix = np.minimum(matrix, matrix.T)
    np.fill_diagonal(matrix, 0)
    indices, values = nearest_in_rows(matrix[10:20], 10, 7)
    for row in range(10):
        order = sorted((matrix[10 + row, j], j) for j in range(40) if j != 10 + row)[:7]
        assert list(indices[row]) == [j for _, j in order]
        np.testing.assert_allclose(values[row], [d for d, _ in order], atol=1e-12)


def test_fewer_others_than_wanted():
    indices, values = nearest_in_rows(np.zeros((1, 1)), 0, 10)
    assert indices.shape == values.shape == (1, 0)
