"""Weights of views from scores: the most probable ones under a Gaussian process and a prior around given weights.

Learned weights predict no better than the prior ones (docs/results/predictive.md), so the product does not use them.

Scores y (standardised) are modelled as normal with covariance Σ_v w_v G_v + 1 + σ² I, where G_v are the views' Gram
matrices and 1 stands for the unknown mean. Each log weight has a normal prior around its given value. From few scores
the prior has the say and the weights stay nearly as they were; a view that the scores bear out gains with their number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from explorer.errors import InputError
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.multi_view import MultiViewKernel

Array = NDArray[np.float64]
NOISE = 0.3
"""Middle of the noise variance's prior, in units of the scores' variance; its logarithm has deviation 1."""
ITERATIONS = 100


def prior_weights(kernel: MultiViewKernel) -> Array:
    """Return a fitted kernel's weights ``[V]``, which sum to 1 over the views that see a difference."""
    live = np.where(kernel.factors > 0, kernel.weights, 0.0)
    return np.asarray(live / live.sum())


def view_grams(kernel: MultiViewKernel, graphs: Sequence[ArchitectureGraph]) -> Array:
    """Return inner products ``[V, N, N]`` of each view's scaled counts of fitted graphs, less their mean."""
    features, weights = kernel.features(graphs), prior_weights(kernel)
    grams = np.zeros((len(weights), len(graphs), len(graphs)))
    for view in np.flatnonzero(weights):
        rows = features[:, np.flatnonzero(kernel.groups == view)]
        product = np.asarray((rows @ rows.T).toarray()) / weights[view]
        product -= product.mean(axis=0)
        grams[view] = product - product.mean(axis=1, keepdims=True)
    return grams


def weighted_features(
    kernel: MultiViewKernel, graphs: Sequence[ArchitectureGraph], weights: Array
) -> sparse.csr_matrix:
    """Return features ``[N, V]`` of fitted graphs as a kernel with other weights has them."""
    prior = prior_weights(kernel)
    ratios = np.sqrt(weights / np.where(prior > 0, prior, np.inf))
    return sparse.csr_matrix(kernel.features(graphs) @ sparse.diags_array(ratios[kernel.groups]))


def learn_weights(grams: Array, scores: Array, prior: Array, deviation: float = 1.0) -> Array:
    """Weights that explain scores.

    Args:
        grams: ``[V, n, n]``, what ``view_grams`` gives for the n scored graphs.
        scores: ``[n]``, n at least 2; best as normal scores, since outliers would decide the weights otherwise.
        prior: ``[V]``, weights before the scores, none below 0; a view of weight 0 keeps it.
        deviation: standard deviation of a log weight's prior, above 0.

    Returns:
        Weights ``[V]`` that sum to 1.

    Raises:
        InputError: the shapes do not fit, a number is not finite, or the deviation is not above 0.
    """
    scores, prior = np.asarray(scores, dtype=np.float64), np.asarray(prior, dtype=np.float64)
    shape = (len(prior), len(scores), len(scores))
    if grams.shape != shape or len(scores) < 2:
        raise InputError("grams", f"be [V, n, n] = {shape}, n ≥ 2", grams.shape, "Give one Gram matrix for each view.")
    if not (np.isfinite(grams).all() and np.isfinite(scores).all() and np.isfinite(prior).all()):
        raise InputError("grams, scores and prior", "be finite", "NaN or infinity", "Leave failed trials out.")
    if not deviation > 0 or (prior < 0).any() or prior.sum() <= 0:
        rule = "be above 0, and no prior weight below it"
        raise InputError("deviation", rule, (deviation, prior.tolist()), "The default deviation is 1.")
    live = np.flatnonzero((prior > 0) & (np.trace(grams, axis1=1, axis2=2) > 0))
    start = prior / prior.sum()
    if len(live) == 0 or np.ptp(scores) == 0:
        return start
    targets = (scores - scores.mean()) / scores.std()
    first = np.append(np.log(start[live]), np.log(NOISE))
    spreads = np.append(np.full(len(live), deviation), 1.0)
    found = minimize(
        _cost, first, (grams[live], targets, first, spreads), "L-BFGS-B", jac=True, options={"maxiter": ITERATIONS}
    )
    weights = start.copy()
    weights[live] = np.exp(found.x[:-1])
    return np.asarray(weights / weights.sum())


def _cost(logs: Array, grams: Array, targets: Array, first: Array, spreads: Array) -> tuple[float, Array]:
    """Minus the log posterior of the log weights and the log noise ``[V + 1]``, and its gradient."""
    weights = np.exp(logs)
    identity = np.eye(len(targets))
    covariance = np.tensordot(weights[:-1], grams, 1) + 1.0 + (weights[-1] + 1e-8) * identity
    factor = cho_factor(covariance, lower=True)
    solved, inverse = cho_solve(factor, targets), cho_solve(factor, identity)
    away = (logs - first) / spreads
    cost = 0.5 * targets @ solved + np.log(np.diag(factor[0])).sum() + 0.5 * away @ away
    sensitivity = 0.5 * (inverse - np.outer(solved, solved))
    by_weight = np.append(np.tensordot(grams, sensitivity, 2), np.trace(sensitivity))
    return float(cost), by_weight * weights + away / spreads
