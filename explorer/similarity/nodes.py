"""All nodes and edges of many graphs in arrays, the Weisfeiler–Lehman refinement of labels, and counted patterns.

A refinement hashes a node's own number with the sum of its neighbours' mixed numbers, which is the same for every order
of the neighbours. Hashes need no shared table: graphs that are read at different times get equal numbers for equal
patterns. Among a million patterns two collide with a probability of about 3e-8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

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


@dataclass(frozen=True)
class Counted:
    """The patterns of N graphs.

    Attributes:
        nodes: how many nodes of each class each graph has ``[N, C]``, float64.
        groups: for each group, classes ``[c]`` and a pattern at their nodes ``[c]``; repeats count again.
    """

    nodes: sparse.csr_matrix
    groups: tuple[tuple[NDArray[np.int64], Numbers], ...]

    def keys(self, distinct: bool = False) -> tuple[Numbers, NDArray[np.int64]]:
        """Return patterns as numbers that differ between groups, and their groups ``[c]`` each.

        Args:
            distinct: each pattern of a group once, ascending, instead of as the groups hold them.
        """
        found = [np.unique(patterns) if distinct else patterns for _, patterns in self.groups]
        salts = hashes(range(len(found)))
        keys = [mixed(patterns ^ salt) for patterns, salt in zip(found, salts, strict=True)]
        return np.concatenate(keys), np.repeat(np.arange(len(found)), [len(patterns) for patterns in found])


class Vocabulary:
    """The pattern that each column counts.

    Args:
        keys: the patterns ``[V]``, as ``Counted.keys`` gives them.
        owners: the group of each.
    """

    def __init__(self, keys: Numbers, owners: NDArray[np.int64]) -> None:
        self.keys, self.owners = keys, owners
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]

    def __len__(self) -> int:
        return len(self.keys)

    def extended(self, keys: Numbers, owners: NDArray[np.int64]) -> Vocabulary:
        """Return a vocabulary with further columns for those of the patterns that this one lacks."""
        missing = self.columns(keys) < 0
        added, first = np.unique(keys[missing], return_index=True)
        if not len(added):
            return self
        found = copy(self)
        found.keys = np.append(self.keys, added)
        found.owners = np.append(self.owners, owners[missing][first])
        # Sorting everything again would cost more than comparing one graph with a library.
        places = np.searchsorted(self._sorted, added)
        found._sorted = np.insert(self._sorted, places, added)
        found._order = np.insert(self._order, places, np.arange(len(self), len(found)))
        return found

    def columns(self, keys: Numbers) -> NDArray[np.int64]:
        """Return the column of each pattern, -1 for those that have none."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self.keys) - 1)
        return np.where(self._sorted[place] == keys, self._order[place], -1)
