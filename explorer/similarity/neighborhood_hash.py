"""The neighbourhood hash kernel (Hido and Kashima, "A linear-time graph kernel", ICDM 2009), count-sensitive form.

Every label is a random number of some bits. One round replaces a node's number by its own, rotated by one bit, XOR
that of its neighbours: for each distinct number among them, number XOR count, rotated by the count. After each round
two graphs are compared by the multisets of their numbers (shared over all, the Jaccard index); the kernel is the mean
over the rounds.

It equals GraKeL's ``NeighborhoodHash(R=rounds, nh_type="count_sensitive")`` given the same numbers for the labels.
GraKeL draws them for the labels of one call, in the order of a set of strings, so its values change between processes
even with a seed, and between ``fit`` on some graphs and on more. Here the number of a label depends on the label and
the seed only. Two properties of the method remain: numbers may collide (negligible at 64 bits), and XOR does not
distinguish which of two nodes follows the other, so a → b and b → a may have the same hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.errors import InputError
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.kernel import EdgeDirection, one_way
from explorer.similarity.nodes import NodeTable
from explorer.similarity.pairs import PairKernel


class NeighborhoodHash(PairKernel):
    """Count-sensitive neighbourhood hash kernel.

    Args:
        rounds: how often the neighbours are hashed in, at least 1.
        bits: of a number, 8 to 64; fewer make it coarser.
        seed: of the labels' numbers, at least 0.
        direction: whose numbers a node takes in, ``OUT`` or ``IN``.

    Raises:
        InputError: an argument is outside.
    """

    name = "neighborhood_hash"

    def __init__(
        self, rounds: int = 3, bits: int = 64, seed: int = 0, direction: EdgeDirection | str = EdgeDirection.OUT
    ) -> None:
        super().__init__()
        for field, value, low, high in (("rounds", rounds, 1, 64), ("bits", bits, 8, 64), ("seed", seed, 0, 2**63)):
            if not low <= value <= high:
                raise InputError(field, f"be from {low} to {high}", value, "Correct the number.")
        self.rounds, self.bits, self.seed, self.direction = rounds, bits, seed, one_way(direction)
        self._mask = np.uint64(2**bits - 1)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {"rounds": self.rounds, "bits": self.bits, "seed": self.seed, "direction": str(self.direction)}

    def compare(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        """Return the mean Jaccard index ``[M, N]`` of the hashed nodes."""
        table = NodeTable(columns if rows is columns else (*columns, *rows))
        fitted, others = slice(0, len(columns)), slice(0 if rows is columns else len(columns), None)
        sizes = table.sizes[others][:, None] + table.sizes[fitted]
        numbers = self.label_numbers(table.names)[table.labels]
        total = np.zeros(sizes.shape)
        for _ in range(self.rounds):
            numbers = self._hashed(numbers, table)
            items = _multisets(numbers, table)
            shared = (items[others] @ items[fitted].T).toarray()
            total += shared / (sizes - shared)
        return total / self.rounds

    def label_numbers(self, labels: Sequence[str]) -> NDArray[np.uint64]:
        """Return the number of each label, uint64 below 2^bits."""
        key = self.seed.to_bytes(8, "little")
        digests = (hashlib.blake2b(label.encode(), digest_size=8, key=key).digest() for label in labels)
        return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64) & self._mask

    def _rotated(self, numbers: NDArray[np.uint64], by: NDArray[np.uint64]) -> NDArray[np.uint64]:
        by = by % np.uint64(self.bits)
        turned = ((numbers << by) & self._mask) | ((numbers & self._mask) >> (np.uint64(self.bits) - by))
        return np.where(by == 0, numbers, turned)

    def _hashed(self, numbers: NDArray[np.uint64], table: NodeTable) -> NDArray[np.uint64]:
        """Return the nodes' numbers after one round."""
        inwards = self.direction is EdgeDirection.IN
        sources, targets = (table.targets, table.sources) if inwards else (table.sources, table.targets)
        around = numbers[targets]
        order = np.lexsort((around, sources))
        sources, around = sources[order], around[order]
        new = np.append(True, (np.diff(sources) != 0) | (around[1:] != around[:-1]))[: len(sources)]
        first = np.flatnonzero(new)
        counts = np.diff(np.append(first, len(sources))).astype(np.uint64)
        hashed = self._rotated(numbers, np.ones_like(numbers))
        np.bitwise_xor.at(hashed, sources[first], self._rotated(around[first] ^ counts, counts))
        return hashed


def _multisets(numbers: NDArray[np.uint64], table: NodeTable) -> sparse.csr_matrix:
    """Return 0/1 rows ``[N, items]``, one item per number and occurrence; their products count common elements."""
    order = np.lexsort((numbers, table.owner))
    owner, numbers = table.owner[order], numbers[order]
    new = np.append(True, (np.diff(owner) != 0) | (numbers[1:] != numbers[:-1]))
    first = np.flatnonzero(new)
    occurrence = np.arange(len(numbers)) - first[np.cumsum(new) - 1]
    distinct = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    items = np.unique(distinct * len(numbers) + occurrence, return_inverse=True)[1]
    shape = (len(table.sizes), int(items.max()) + 1)
    return sparse.csr_matrix((np.ones(len(items)), (owner, items)), shape=shape)
