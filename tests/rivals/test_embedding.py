"""Classical scaling against the full eigendecomposition; one law for all methods of embedding."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from explorer.errors import InputError
from explorer.similarity.distances import rank_agreement
from rivals.dissimilarities import DenseDissimilarities
from rivals.embed import Method, embed
from rivals.mds import classical_mds, lanczos_mds

SOLVERS = (classical_mds, lanczos_mds)


def noisy(count: int, seed: int = 2) -> np.ndarray:
    """Dissimilarities that no vectors fit exactly."""
    rng = np.random.default_rng(seed)
    noise = rng.random((count, count))
    matrix = squareform(pdist(rng.normal(size=(count, 4)) * 3)) + 0.2 * (noise + noise.T)
    np.fill_diagonal(matrix, 0)
    return matrix.astype(np.float32)


@pytest.mark.parametrize("solver", SOLVERS)
def test_distances_of_a_euclidean_configuration_are_recovered(solver):
    points = np.random.default_rng(0).normal(size=(200, 6))
    distances = squareform(pdist(points))
    vectors = solver(distances.astype(np.float32), 6, np.random.default_rng(1))
    np.testing.assert_allclose(squareform(pdist(vectors)), distances, atol=1e-3)


@pytest.mark.parametrize(("solver", "tolerance"), [(classical_mds, 2e-2), (lanczos_mds, 2e-3)])
def test_equal_to_the_full_eigendecomposition_where_nothing_fits_exactly(solver, tolerance):
    dissimilarities = noisy(120)
    centre = np.eye(120) - 1 / 120
    values, axes = np.linalg.eigh(-0.5 * centre @ dissimilarities.astype(float) ** 2 @ centre)
    exact = axes[:, ::-1][:, :4] * np.sqrt(values[::-1][:4])
    given = dissimilarities.copy()
    ours = solver(given, 4, np.random.default_rng(3))
    np.testing.assert_allclose(np.abs(ours), np.abs(exact), atol=tolerance)
    assert np.array_equal(given, dissimilarities)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_numbers_give_the_same_map_whatever_the_probes(solver):
    points = np.random.default_rng(4).normal(size=(100, 3)) * [5, 2, 1]
    distances = squareform(pdist(points)).astype(np.float32)
    first = solver(distances, 3, np.random.default_rng(5))
    second = solver(distances, 3, np.random.default_rng(6))
    np.testing.assert_allclose(first, second, atol=1e-2)


@pytest.mark.parametrize("method", Method)
def test_every_method_recovers_what_fits_turned_to_its_axes(method):
    points = np.random.default_rng(7).normal(size=(150, 3)) * [4, 2, 1]
    distances = squareform(pdist(points)).astype(np.float32)
    vectors = embed(distances, 3, np.random.default_rng(8), method)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(squareform(pdist(vectors)), distances, atol=5e-3)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-3)
    covariance = np.cov(vectors.T)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=2e-2)
    assert (np.diff(np.diag(covariance)) < 0).all()


@pytest.mark.parametrize("method", Method)
def test_the_same_seed_gives_the_same_vectors(method):
    dissimilarities = DenseDissimilarities(noisy(90))
    first, second = (embed(dissimilarities, 4, np.random.default_rng(9), method) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("count", [1, 2])
def test_a_tiny_set_has_zero_columns_beyond_its_rank(method, count):
    matrix = (np.ones((count, count)) - np.eye(count)).astype(np.float32)
    vectors = embed(matrix, 16, np.random.default_rng(0), method)
    assert vectors.shape == (count, 16)
    assert np.isfinite(vectors).all()
    assert count == 1 or np.linalg.norm(vectors[0] - vectors[1]) == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(vectors[:, count - 1 :], 0, atol=1e-5)


@pytest.mark.parametrize("method", Method)
def test_indistinguishable_things_share_a_place(method):
    matrix = noisy(40)
    doubled = np.block([[matrix, matrix], [matrix, matrix]])
    vectors = embed(doubled, 4, np.random.default_rng(0), method)
    apart = np.linalg.norm(vectors[:40] - vectors[40:], axis=1)
    assert np.isfinite(vectors).all()
    assert apart.max() < 0.1 * np.median(pdist(vectors))


def test_what_is_no_dissimilarity_is_refused():
    rng = np.random.default_rng(0)
    for matrix, rule in (
        (np.zeros((3, 2)), "square"),
        (np.full((3, 3), -0.5), "none below 0"),
        (np.full((3, 3), np.nan), "finite"),
        (np.full((3, 3), np.inf), "finite"),
    ):
        with pytest.raises(InputError, match=rule):
            embed(matrix, 2, rng)
    with pytest.raises(InputError, match="at least 1"):
        embed(np.zeros((3, 3)), 0, rng)


def test_agreement_is_one_for_distances_in_the_same_order():
    vectors = np.array([[0.0], [1.0], [3.0]])
    first, second = np.array([0, 1, 0]), np.array([1, 2, 2])
    assert rank_agreement(vectors, first, second, np.array([0.1, 0.2, 0.9])) == pytest.approx(1.0)
    assert rank_agreement(vectors, first, second, np.array([0.9, 0.2, 0.1])) == pytest.approx(-1.0)
