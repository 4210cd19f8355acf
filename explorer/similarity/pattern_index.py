"""The Weisfeiler–Lehman kernel of one graph with many known ones, without reading these again.

``explorer.similarity.weisfeiler_lehman`` numbers its patterns anew in every call, so comparing one more graph with a
library costs as much as reading the library. An index keeps the numbers: the value is the same, cosines of counts
after 0, 1, … refinements along the edges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.similarity.blocks import DECIMALS, unit_rows
from explorer.similarity.graph import ArchitectureGraph

_Key = tuple[int, str | int, tuple[int, ...]]


class PatternIndex:
    """Patterns of N graphs.

    Args:
        graphs: the graphs, each with at least one node.
        iterations: refinements of the kernel, at least 0.
    """

    def __init__(self, graphs: Sequence[ArchitectureGraph], iterations: int = 5) -> None:
        self._iterations = iterations
        self._numbers: dict[_Key, int] = {}
        rows, columns, values = [], [], []
        for row, graph in enumerate(graphs):
            counts = self._count(graph, self._numbers)
            rows += [row] * len(counts)
            columns += list(counts)
            values += list(counts.values())
        shape = (len(graphs), len(self._numbers))
        found = sparse.csr_matrix((np.array(values, dtype=np.float64), (rows, columns)), shape=shape)
        self._features = unit_rows(found)

    def dissimilarities(self, graph: ArchitectureGraph) -> NDArray[np.float64]:
        """One minus the kernel of a graph with each of the N ``[N]``, 0 to 1, at the kernel's decimals."""
        # A copy would cost as much as the library is large; what is new gets numbers that are forgotten again.
        counts = self._count(graph, _Continued(self._numbers))
        norm = float(np.sqrt(sum(count * count for count in counts.values())))
        vector = np.zeros(self._features.shape[1])
        for number, count in counts.items():
            if number < len(vector):
                vector[number] = count / norm
        return np.round(np.clip(1.0 - self._features @ vector, 0.0, 1.0), DECIMALS)

    def _count(self, graph: ArchitectureGraph, numbers: dict[_Key, int]) -> Counter[int]:
        followers: list[list[int]] = [[] for _ in graph.labels]
        for source, target in graph.edges:
            followers[source].append(target)
        current = [numbers.setdefault((0, label, ()), len(numbers)) for label in graph.labels]
        counts = Counter(current)
        for depth in range(1, self._iterations + 1):
            keys = [
                (depth, own, tuple(sorted(current[t] for t in after)))
                for own, after in zip(current, followers, strict=True)
            ]
            current = [numbers.setdefault(key, len(numbers)) for key in keys]
            counts.update(current)
        return counts


class _Continued(dict[_Key, int]):
    """Numbers of an index with more of its own, which the index does not see."""

    def __init__(self, known: dict[_Key, int]) -> None:
        super().__init__()
        self._known = known

    def __len__(self) -> int:
        return len(self._known) + super().__len__()

    def setdefault(self, key: _Key, default: int = 0) -> int:
        """The number of a known key, or of a new one."""
        found = self._known.get(key)
        return super().setdefault(key, default) if found is None else found
