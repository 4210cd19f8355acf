"""The three sources of dissimilarities agree with each other and with direct computation."""

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

from explorer.errors import InputError
from explorer.similarity.graph import build_graph
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.grammar import load_space
from rivals.dissimilarities import DenseDissimilarities, FeatureDissimilarities, FeatureDistance, unit_features


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
def test_feature_distances_equal_direct_ones(form):
    features = np.random.default_rng(0).normal(size=(700, 5))
    direct = cdist(features, features)
    plain = FeatureDissimilarities(form(features), FeatureDistance.EUCLIDEAN)
    np.testing.assert_allclose(plain.dense(), direct, atol=1e-6)
    half = FeatureDissimilarities(form(features), FeatureDistance.HALF_SQUARE)
    np.testing.assert_allclose(half.dense(), direct**2 / 2, atol=1e-5)
    rows, columns = np.array([600, 3, 3]), np.array([3, 11])
    np.testing.assert_allclose(plain.between(rows, columns), direct[np.ix_(rows, columns)], atol=1e-6)
    assert plain.between(rows, columns)[1, 0] == 0.0


def test_the_kernel_arrives_the_same_by_blocks_and_by_features():
    space = load_space("nano")
    graphs = [build_graph(space.at(index * 7)) for index in range(60)]
    blocks = DenseDissimilarities.from_blocks(WeisfeilerLehman(3).fit(graphs).blocks(block_rows=16), 60)
    by_feature = FeatureDissimilarities(unit_features(graphs, 3))
    assert len(blocks) == len(by_feature) == 60
    np.testing.assert_allclose(by_feature.dense(), blocks.dense(), atol=1e-6)
    some = np.array([5, 50, 17])
    np.testing.assert_array_equal(blocks.between(some, some), blocks.dense()[np.ix_(some, some)])


def test_missing_blocks_are_refused():
    with pytest.raises(InputError, match="hold 4 rows"):
        DenseDissimilarities.from_blocks([(0, np.zeros((3, 4)))], 4)
