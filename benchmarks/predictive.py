"""How well similarity predicts scores: the kernel of many views next to other kernels and hand-made features.

Run ``uv run python benchmarks/predictive.py --data ../shared/data`` (20 random splits, 5 minutes) or with ``--quick``
(2 splits). From 30, 100 and 300 scored architectures each method predicts all others; the figure is the rank
correlation with the true scores, a mean over the splits, which are the same for all methods. Nothing is chosen on the
held-out scores. ``--objective`` takes another task of the table, or ``supershaper``: 700 shapes and their perplexity.

The last line is one JSON object: ``rank_correlation_30`` and so on for ours, ``NAME_30`` for each rival.
``NAME_ranked`` is the same rival on normal scores instead of scores, as ours has them.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from explorer.cli.bench import OptionParser, run_main
from explorer.search import encode_choices
from explorer.similarity.distances import principal_axes
from explorer.similarity.graph import build_graph
from explorer.similarity.multi_view import MultiViewKernel
from explorer.similarity.registry import kernel_named
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.grammar import load_space
from explorer.space.spec import ArchitectureSpec
from explorer.surrogate.kernel_regression import KernelRegression
from explorer.surrogate.warp import normal_scores
from rivals.mds import classical_mds
from rivals.view_weights import learn_weights, prior_weights, view_grams, weighted_features
from scored_tables import Table, nas_bench_bert, supershaper

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Method = Callable[[Rows, Array, Rows], Array]
"""(scored rows, their scores, rows to predict) → predicted scores, by any monotone scale."""
SIZES = (30, 100, 300)
DIMENSIONS = 16
OURS = "rank_correlation"
KERNELS: dict[str, tuple[str, dict[str, Any]]] = {
    "views": ("views", {}),
    "wl": ("wl", {}),
    "neighborhood_hash": ("neighborhood_hash", {}),
    "random_walk": ("random_walk", {}),
    "grakel_vertex_histogram": ("grakel:vertex_histogram", {}),
    "grakel_wl_oa": ("grakel:WL-OA", {"n_iter": 5}),
    "grakel_wl_2": ("grakel:weisfeiler_lehman", {"n_iter": 2}),
    "grakel_propagation": ("grakel:propagation", {}),
    "grakel_shortest_path": ("grakel:shortest_path", {}),
    "grakel_pyramid_match": ("grakel:pyramid_match", {}),
    "grakel_nspd": ("grakel:NSPD", {"r": 1, "d": 2}),
    "grakel_odd_sth": ("grakel:odd_sth", {"h": 3}),
    "grakel_graphlet_sampling": ("grakel:graphlet_sampling", {"k": 3}),
}
"""Kernels that ``--kernels`` compares: exact distances, and with ``_vector`` their 16-d vectors."""


def on_features(features: Array, make: Callable[[], Any], ranked: bool = False) -> Method:
    def predict(scored: Rows, scores: Array, others: Rows) -> Array:
        targets = normal_scores(scores) if ranked else scores
        return np.asarray(make().fit(features[scored], targets).predict(features[others]))

    return predict


def on_distances(distances: Array) -> Method:
    def predict(scored: Rows, scores: Array, others: Rows) -> Array:
        model = KernelRegression().fit(distances[np.ix_(scored, scored)], scores)
        return model.predict(distances[np.ix_(others, scored)]).mean

    return predict


def gaussian_process() -> GaussianProcessRegressor:
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(3.0, (0.1, 1e3)) + WhiteKernel(0.1, (1e-4, 10.0))
    return GaussianProcessRegressor(kernel, normalize_y=True)


def one_hot(specs: list[ArchitectureSpec]) -> Array:
    codes = encode_choices(specs)
    columns = [codes[:, [choice]] == np.unique(codes[:, choice]) for choice in range(codes.shape[1])]
    return np.concatenate(columns, axis=1).astype(float)


def methods(specs: list[ArchitectureSpec]) -> dict[str, Method]:
    graphs = [build_graph(spec) for spec in specs]
    kernel = MultiViewKernel().fit(graphs)
    grams = view_grams(kernel, graphs)

    def learned(scored: Rows, scores: Array) -> Any:
        chosen = grams[:, scored[:, None], scored]
        weights = learn_weights(chosen, normal_scores(scores), prior_weights(kernel))
        return weighted_features(kernel, graphs, weights)

    def ours(scored: Rows, scores: Array, others: Rows) -> Array:
        rows = learned(scored, scores).toarray()
        return on_distances(cdist(rows, rows, "sqeuclidean"))(scored, scores, others)

    def ours_vector(scored: Rows, scores: Array, others: Rows) -> Array:
        rows = learned(scored, scores)
        vectors = principal_axes(rows, DIMENSIONS, np.random.default_rng(0)).place(rows)
        return on_distances(cdist(vectors, vectors, "sqeuclidean"))(scored, scores, others)

    elsewhere = [build_graph(spec) for spec in load_space("nano").sample(500, np.random.default_rng(0))]
    moved = MultiViewKernel().fit(elsewhere)
    choices = one_hot(specs)
    wl = WeisfeilerLehman().fit(graphs).dissimilarities(graphs)
    paper = classical_mds(wl.astype(np.float32), DIMENSIONS, np.random.default_rng(0)).astype(float)
    rivals: dict[str, Callable[[], Any]] = {
        "gp_one_hot": gaussian_process,
        "forest_one_hot": lambda: RandomForestRegressor(200, random_state=0),
        "extra_trees_one_hot": lambda: ExtraTreesRegressor(200, random_state=0),
        "boosted_one_hot": lambda: GradientBoostingRegressor(
            n_estimators=200, learning_rate=0.05, max_depth=3, subsample=0.6, random_state=0
        ),
    }
    found: dict[str, Method] = {
        OURS: ours,
        "equal_weights": on_distances(kernel.squared_distances(graphs)),
        "vector_learned": ours_vector,
        "vector_equal": on_distances(cdist(kernel.vectors, kernel.vectors, "sqeuclidean")),
        "scaled_by_tiny_mini": on_distances(moved.squared_distances(graphs, graphs)),
        "wl_mds_gp": on_features(paper, gaussian_process),
        "wl_mds_ours": on_distances(cdist(paper, paper, "sqeuclidean")),
        "one_hot_ours": on_distances(cdist(choices, choices, "sqeuclidean")),
    }
    for name, make in rivals.items():
        found[name] = on_features(choices, make)
        found[f"{name}_ranked"] = on_features(choices, make, ranked=True)
    return found


def kernel_methods(specs: list[ArchitectureSpec]) -> dict[str, Method]:
    """Our regression on the exact distances and on the vectors of each kernel, as `--kernel NAME` has them."""
    graphs = [build_graph(spec) for spec in specs]
    found: dict[str, Method] = {}
    for label, (name, parameters) in KERNELS.items():
        start = time.process_time()
        kernel = kernel_named(name, **parameters).fit(graphs)
        found[label] = on_distances(kernel.squared_distances(graphs, graphs))
        vectors = kernel.vectors.astype(float)
        found[f"{label}_vector"] = on_distances(cdist(vectors, vectors, "sqeuclidean"))
        print(f"{label}: {time.process_time() - start:.1f} s processor", file=sys.stderr)
    return found


def measure(table: Table, splits: int, chosen: list[str], kernels: bool = False) -> dict[str, Array]:
    """Rank correlations ``[sizes, splits]`` of each method."""
    offered = kernel_methods(table.specs) if kernels else methods(table.specs)
    found = {name: method for name, method in offered.items() if not chosen or name in chosen}
    results = {name: np.empty((len(SIZES), splits)) for name in found}
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(table.scores))
        for row, size in enumerate(SIZES):
            scored, others = order[:size], order[size:]
            for name, method in found.items():
                with warnings.catch_warnings():
                    # The optimiser of the GP on raw features ends on its bounds in some splits, and says so.
                    warnings.simplefilter("ignore")
                    predicted = method(scored, table.scores[scored], others)
                results[name][row, split] = spearmanr(predicted, table.scores[others]).statistic
    return results


def main() -> None:
    parser = OptionParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with architectures/")
    parser.add_argument("--objective", default="glue", help="a task of NAS-Bench-BERT, or supershaper")
    parser.add_argument("--splits", type=int, default=20, help="random splits")
    parser.add_argument("--methods", nargs="*", default=[], help="only these")
    parser.add_argument("--kernels", action="store_true", help="compare kernels instead, by the same regression")
    parser.add_argument("--quick", action="store_true", help="2 splits")
    options = parser.parse_args()
    data, objective = options.data, options.objective
    table = supershaper(data) if objective == "supershaper" else nas_bench_bert(data, objective)
    splits = 2 if options.quick else options.splits
    results = measure(table, splits, options.methods, options.kernels)
    print(f"{objective}: {len(table.scores)} architectures, {splits} splits; mean rank correlation ± standard error")
    for name, values in results.items():
        errors = values.std(axis=1, ddof=1) / np.sqrt(splits) if splits > 1 else np.zeros(len(SIZES))
        shown = "  ".join(f"{mean:.4f} ± {error:.4f}" for mean, error in zip(values.mean(axis=1), errors, strict=True))
        print(f"{name:>28}  {shown}")
    means = {name: values.mean(axis=1) for name, values in results.items()}
    print(json.dumps({f"{name}_{n}": round(float(v[i]), 4) for name, v in means.items() for i, n in enumerate(SIZES)}))


if __name__ == "__main__":
    run_main(main)
