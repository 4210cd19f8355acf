"""The index gives what the kernel itself gives, and forgets what it was asked about."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.similarity.graph import build_graph
from explorer.similarity.pattern_index import PatternIndex
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.grammar import load_space
from explorer.space.named import named_models


@pytest.mark.parametrize("iterations", [0, 1, 5])
def test_as_the_kernel(iterations):
    rng = np.random.default_rng(1)
    known = [build_graph(spec) for spec in load_space("nano").sample(30, rng)]
    others = [build_graph(spec) for spec in [*load_space("tiny-mini").sample(4, rng), *named_models().values()]]
    index = PatternIndex(known, iterations)
    for graph in [*others, known[3], *reversed(others)]:
        cosines = WeisfeilerLehman(iterations).features([graph, *known])
        expected = 1.0 - (cosines[:1] @ cosines[1:].T).toarray()[0]
        np.testing.assert_allclose(index.dissimilarities(graph), expected, atol=1e-11)
    assert index.dissimilarities(known[3])[3] == 0.0
