"""All nodes and edges of many graphs in arrays, and the Weisfeiler–Lehman refinement of their labels by 64-bit hashes.

A refinement hashes a node's own number with the sum of its neighbours' mixed numbers, which is the same for every order
of the neighbours. Hashes need no shared table: graphs that are read at different times get equal numbers for equal
patterns. Among a million patterns two collide with a probability of about 3e-8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from explorer.similarity.graph import ArchitectureGraph

Numbers = NDArray[np.uint64]


def mixed(numbers: Numbers) -> Numbers:
    """Scramble 64-bit numbers one to one (the finaliser of SplitMix64; Steele, Lea and Flood, OOPSLA 2014)."""
    scrambled = numbers + np.uint64(0x9E3779B97F4A7C15)
    scrambled = (scrambled ^ (scrambled >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    scrambled = (scrambled ^ (scrambled >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return scrambled ^ (scrambled >> np.uint64(31))


def hashes(values: Iterable[object]) -> Numbers:
    """Hash the text of each value to 64 bits."""
    digests = b"".join(hashlib.blake2b(str(value).encode(), digest_size=8).digest() for value in values)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def narrow(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return whole numbers, none below 0, in the smallest unsigned type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


class NodeTable:
    """The nodes of N graphs, numbered consecutively.

    Args:
        graphs: N graphs.

    Attributes:
        sizes: nodes of each graph ``[N]``.
        owner: graph of each node ``[nodes]``.
        names: the distinct labels, by first appearance.
        labels: index into ``names`` of each node ``[nodes]``.
        sources, targets: nodes of each edge ``[edges]``, in the order of the graphs.
    """

    def __init__(self, graphs: Sequence[ArchitectureGraph]) -> None:
        self.sizes = np.array([len(graph) for graph in graphs], dtype=np.int64)
        ends = np.cumsum(self.sizes)
        nodes = int(ends[-1]) if len(graphs) else 0
        self.owner = np.repeat(np.arange(len(graphs)), self.sizes)
        names: dict[str, int] = {}
        numbered = (names.setdefault(label, len(names)) for graph in graphs for label in graph.labels)
        self.labels = np.fromiter(numbered, np.int64, nodes)
        self.names = tuple(names)
        counts = [len(graph.edges) for graph in graphs]
        flat = chain.from_iterable(chain.from_iterable(graph.edges for graph in graphs))
        edges = np.fromiter(flat, np.int64, 2 * sum(counts)).reshape(-1, 2)
        edges += np.repeat(ends - self.sizes, counts)[:, None]
        self.sources, self.targets = edges[:, 0], edges[:, 1]

    def refined(self, numbers: Numbers, against: bool = False) -> Numbers:
        """Refine the numbers of the nodes once.

        Args:
            numbers: ``[nodes]``.
            against: collect the numbers of the nodes before each node instead of those after it.

        Returns:
            New numbers ``[nodes]``, equal where a node's own number and the multiset of its neighbours' are.
        """
        sources, targets = (self.targets, self.sources) if against else (self.sources, self.targets)
        around = np.zeros_like(numbers)
        np.add.at(around, sources, mixed(numbers[targets]))
        # The own number is mixed once more: a single neighbour with the same number must not cancel it.
        return mixed(mixed(mixed(numbers) + np.uint64(against)) ^ around)
