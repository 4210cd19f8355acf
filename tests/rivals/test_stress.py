"""Majorisation against scikit-learn and its own laws; the gradient against differences."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from sklearn.manifold import smacof as reference

from explorer.similarity.distances import squared_distances
from rivals.configurations import principal_axes, ratios
from rivals.gradient import _gradient, gradient_descent
from rivals.smacof import near_weights, smacof


def random_dissimilarities(count: int, seed: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).random((count, count)) + 0.05
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 0)
    return matrix.astype(np.float32)


def stress(matrix: np.ndarray, vectors: np.ndarray, near: float = 0.0) -> float:
    weights = squareform(near_weights(matrix, near).astype(float), checks=False)
    return float((weights * (squareform(matrix.astype(float), checks=False) - pdist(vectors)) ** 2).sum())


@pytest.mark.parametrize("sweeps", [1, 7])
def test_one_block_is_scikit_learns_iteration(sweeps):
    matrix = random_dissimilarities(60, 0)
    start = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    ours = smacof(matrix, start, sweeps, np.random.default_rng(2))
    theirs, _ = reference(
        matrix.astype(float), n_components=4, init=start.astype(float), n_init=1, max_iter=sweeps, eps=0,
        normalized_stress=False,
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs - theirs.mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("near", [0.0, 1.0])
@pytest.mark.parametrize("block_rows", [None, 1, 7, 50])
def test_the_stress_never_rises(near, block_rows):
    matrix = random_dissimilarities(50, 3)
    vectors = np.random.default_rng(4).normal(size=(50, 3)).astype(np.float32)
    seen = [stress(matrix, vectors, near)]
    for sweep in range(8):
        vectors = smacof(matrix, vectors, 1, np.random.default_rng(sweep), block_rows, near)
        seen.append(stress(matrix, vectors, near))
    assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(seen))
    assert seen[-1] < seen[0] / 2


@pytest.mark.parametrize("block_rows", [None, 6])
def test_equal_weights_and_no_weights_move_alike(block_rows):
    # A power this small is weighted in code and all but unweighted in value.
    matrix = random_dissimilarities(30, 5)
    start = np.random.default_rng(6).normal(size=(30, 3)).astype(np.float32)
    plain = smacof(matrix, start, 3, np.random.default_rng(7), block_rows)
    weighted = smacof(matrix, start, 3, np.random.default_rng(7), block_rows, near=1e-9)
    np.testing.assert_allclose(weighted, plain, atol=1e-4)


def test_weights_bring_near_pairs_closer_to_what_is_wanted():
    matrix = random_dissimilarities(80, 8)
    start = np.random.default_rng(9).normal(size=(80, 2)).astype(np.float32)
    pairs = squareform(matrix, checks=False)
    near = pairs < np.quantile(pairs, 0.1)
    errors = [
        np.abs(pdist(smacof(matrix, start, 40, np.random.default_rng(0), 20, power)) - pairs)[near].mean()
        for power in (0.0, 2.0)
    ]
    assert errors[1] < errors[0]


def test_the_gradient_equals_differences():
    matrix = random_dissimilarities(12, 10).astype(float)
    vectors = np.random.default_rng(11).normal(size=(12, 3))
    ours = _gradient(matrix, vectors)
    step = 1e-5
    for point, axis in ((0, 0), (5, 2), (11, 1)):
        moved = [vectors.copy(), vectors.copy()]
        moved[0][point, axis] += step
        moved[1][point, axis] -= step
        difference = (stress64(matrix, moved[0]) - stress64(matrix, moved[1])) / (2 * step)
        assert ours[point, axis] == pytest.approx(difference / 11, rel=1e-4, abs=1e-6)


def stress64(matrix: np.ndarray, vectors: np.ndarray) -> float:
    return float(((squareform(matrix) - pdist(vectors)) ** 2).sum())


def test_descent_in_batches_comes_near_majorisation():
    matrix = random_dissimilarities(60, 12)
    start = np.random.default_rng(13).normal(size=(60, 4)).astype(np.float32) * 0.2
    ours = gradient_descent(matrix, start, 400, np.random.default_rng(14), batch=30)
    best = smacof(matrix, start, 400, np.random.default_rng(15))
    assert stress(matrix, ours) < 1.05 * stress(matrix, best)


def test_distances_equal_direct_ones_and_coinciding_points_do_not_pull():
    rng = np.random.default_rng(16)
    first, second = rng.normal(size=(6, 3)), rng.normal(size=(4, 3))
    direct = np.linalg.norm(first[:, None] - second[None], axis=2)
    np.testing.assert_allclose(np.sqrt(squared_distances(first, second)), direct)
    targets = rng.random((6, 4))
    np.testing.assert_allclose(ratios(targets, first, second), targets / direct)
    assert not ratios(np.ones((2, 2)), np.ones((2, 3)), np.ones((2, 3))).any()


def test_axes_keep_distances_and_order_columns():
    vectors = np.random.default_rng(17).normal(size=(40, 3)) @ np.random.default_rng(18).normal(size=(3, 3)) + 4
    turned = principal_axes(vectors)
    np.testing.assert_allclose(pdist(turned), pdist(vectors), rtol=1e-5)
    np.testing.assert_allclose(principal_axes(-vectors[:, ::-1]).var(axis=0), turned.var(axis=0), rtol=1e-4)
    assert (np.diff(turned.var(axis=0)) < 0).all()
