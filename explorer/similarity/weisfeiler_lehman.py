"""The Weisfeiler–Lehman subtree kernel from sparse label counts, exact.

Shervashidze et al., "Weisfeiler-Lehman graph kernels", JMLR 12 (2011). A graph's feature vector counts its node
labels after 0, 1, … ``iterations`` refinements; a refinement relabels each node by its label and the multiset of its
neighbours' labels, by default those of the *out*-neighbours (the direction GraKeL reads a directed graph in). The
kernel is the cosine of the counts, equal to GraKeL's ``WeisfeilerLehman(n_iter=iterations, normalize=True)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from explorer.errors import InputError
from explorer.similarity.explanation import Explanation, explain_trees
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.kernel import Array, EdgeDirection, Graphs, checked, one_way
from explorer.similarity.nodes import Counted, NodeTable, hashes
from explorer.similarity.patterns import PatternKernel

MOST_ITERATIONS = 64


class WeisfeilerLehman(PatternKernel):
    """Weisfeiler–Lehman subtree kernel.

    Args:
        iterations: number of refinements, 0 to 64.
        direction: whose labels a refinement collects, ``OUT`` or ``IN``.

    Raises:
        InputError: an argument is outside.
    """

    name = "weisfeiler_lehman"
    integral = True

    def __init__(self, iterations: int = 5, direction: EdgeDirection | str = EdgeDirection.OUT) -> None:
        super().__init__()
        if not 0 <= iterations <= MOST_ITERATIONS:
            raise InputError("iterations", f"be from 0 to {MOST_ITERATIONS}", iterations, "5 is the default.")
        self.iterations, self.direction = iterations, one_way(direction)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {"iterations": self.iterations, "direction": str(self.direction)}

    def _count(self, graphs: Graphs, fitting: bool) -> Counted:
        table = NodeTable(graphs)
        numbers = hashes(table.names)[table.labels]
        depths = [numbers]
        for _ in range(self.iterations):
            depths.append(table.refined(depths[-1], self.direction is EdgeDirection.IN))
        # Nodes that agree after the last refinement agree after every one before it.
        _, examples, classes = np.unique(depths[-1], return_index=True, return_inverse=True)
        shape = (len(graphs), len(examples))
        nodes = sparse.csr_matrix((np.ones(len(table.owner)), (table.owner, classes)), shape=shape)
        patterns = np.concatenate([numbers[examples] for numbers in depths])
        return Counted(nodes, ((np.tile(np.arange(len(examples)), len(depths)), patterns),))

    def _factors(self, counts: Sequence[sparse.csr_matrix]) -> Array:
        return np.ones(len(counts))

    def _embedded(self, features: sparse.csr_matrix, squares: Array) -> sparse.csr_matrix:
        return sparse.csr_matrix(sparse.diags_array(1.0 / np.sqrt(squares)) @ features)

    def _squared(self, products: Array, first: Array, second: Array) -> Array:
        products *= -(1.0 / np.sqrt(first))[:, None]
        products *= 1.0 / np.sqrt(second)
        products += 1.0
        return np.clip(products, 0.0, 1.0, out=products) * 2.0

    def _dissimilarity(self, squared: Array) -> Array:
        return squared / 2.0

    def explain(self, first: ArchitectureGraph, second: ArchitectureGraph) -> Explanation:
        """Take the cosine apart into trees; see ``explain_trees``."""
        checked([first, second])
        return explain_trees(first, second, self.iterations, self.direction is EdgeDirection.IN)
