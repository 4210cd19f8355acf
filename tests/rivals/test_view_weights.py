"""Weights of views, learned from scores."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.multi_view import MultiViewKernel
from explorer.similarity.views import Attribute, Position, View, default_views
from explorer.testing.kernels import architectures
from rivals.view_weights import _cost, learn_weights, prior_weights, view_grams, weighted_features


def test_features_with_other_weights_are_those_of_a_kernel_with_them():
    graphs = architectures(30, 1)
    kernel = MultiViewKernel().fit(graphs)
    weights = np.random.default_rng(0).random(len(kernel.views))
    other = MultiViewKernel(weights=weights).fit(graphs)
    found = weighted_features(kernel, graphs, prior_weights(other))
    np.testing.assert_allclose(found.toarray(), other.features(graphs).toarray(), atol=1e-12)


def test_weights_find_the_view_that_scores_depend_on():
    graphs = architectures(120, 10, "small")
    kernel = MultiViewKernel().fit(graphs)
    prior = prior_weights(kernel)
    planted = kernel.views.index(View(Attribute.OPERATION, Position.FROM_OUTPUT))
    alone = weighted_features(kernel, graphs, np.eye(len(kernel.views))[planted]).toarray()
    rng = np.random.default_rng(0)
    scores = alone @ rng.standard_normal(alone.shape[1]) + 0.05 * rng.standard_normal(len(graphs))
    weights = learn_weights(view_grams(kernel, graphs), scores, prior)
    assert weights.sum() == pytest.approx(1.0)
    assert int(weights.argmax()) == planted
    assert weights[planted] > 3 * prior[planted]
    held = learn_weights(view_grams(kernel, graphs), scores, prior, deviation=1e-3)
    np.testing.assert_allclose(held, prior, rtol=0.01)


def test_weights_follow_the_gradient_of_their_cost():
    graphs = architectures(20, 11, "small")
    grams = view_grams(MultiViewKernel(default_views(0)[:4]).fit(graphs), graphs)
    rng = np.random.default_rng(0)
    targets, first, spreads = rng.standard_normal(20), rng.standard_normal(5), np.full(5, 0.7)
    point, step = first + 0.3, 1e-6
    _, gradient = _cost(point, grams, targets, first, spreads)
    for index, slope in enumerate(gradient):
        up, down = (
            _cost(point + sign * step * np.eye(5)[index], grams, targets, first, spreads)[0] for sign in (1, -1)
        )
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-6)


def test_what_does_not_fit_is_refused():
    graphs = architectures(5, 12)
    kernel = MultiViewKernel().fit(graphs)
    grams = view_grams(kernel, graphs)
    with pytest.raises(InputError, match="grams"):
        learn_weights(grams, np.ones(4), prior_weights(kernel))
    with pytest.raises(InputError, match="deviation"):
        learn_weights(grams, np.ones(5), prior_weights(kernel), deviation=0.0)
