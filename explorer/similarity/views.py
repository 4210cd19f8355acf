"""Ways to look at a graph's nodes, and the Weisfeiler–Lehman patterns each of them counts.

A node's full label, such as ``sa_h128_sdp``, is all or nothing: two heads that differ in hidden size only look as
different as a convolution and a feed-forward width. A *view* compares nodes by one attribute of their label instead
(the operation's family, say), with or without how far the node's layer is from the input or from the output, and with
what lies around the node up to a depth (Weisfeiler–Lehman refinements, both along and against the edges).

Sizes (hidden, feed-forward width, head size) are ordered, and labels are not. Such a view therefore has one labelling
for each threshold t, "at least t or not", and counts the nodes that reach t: 128 is nearer to 256 than to 768. The
thresholds are the values that occur in reference graphs; any other value falls between two of them.

Patterns are numbered by 64-bit hashes, so that graphs read at different times agree without a shared table. A
refinement hashes a node's own number with the sum of its neighbours' mixed numbers, which is the same for every order
of the neighbours. Among a million patterns two would collide with a probability of about 3e-8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.nodes import NodeTable

Numbers = NDArray[np.uint64]
Levels = Mapping["Attribute", tuple[int, ...]]


class Attribute(StrEnum):
    """What of a node's label a view compares."""

    LABEL = "label"
    KIND = "kind"
    FAMILY = "family"
    OPERATION = "operation"
    HIDDEN = "hidden"
    WIDTH = "width"
    HEAD_SIZE = "head_size"

    @property
    def is_size(self) -> bool:
        """Whether its values are ordered."""
        return self in SIZES


SIZES = frozenset({Attribute.HIDDEN, Attribute.WIDTH, Attribute.HEAD_SIZE})


class Position(StrEnum):
    """Whether nodes of different layers count as different, and which end the layers are counted from."""

    ANY = "any"
    FROM_INPUT = "from_input"
    FROM_OUTPUT = "from_output"


@dataclass(frozen=True)
class View:
    """One way to look at a graph.

    Attributes:
        attribute: what of a node's label is compared.
        position: whether, and from where, layers are told apart.
        depth: number of refinements, at least 0. Both ways are counted: what a node feeds, and what feeds it.
    """

    attribute: Attribute
    position: Position = Position.ANY
    depth: int = 0

    @property
    def name(self) -> str:
        """For example ``family from_output`` or ``hidden depth 1``."""
        place = "" if self.position is Position.ANY else f" {self.position}"
        return f"{self.attribute}{place}" + (f" depth {self.depth}" if self.depth else "")

    @property
    def prior_weight(self) -> float:
        """Weight before any score is known: each refinement halves it."""
        return float(0.5**self.depth)


def default_views(depth: int = 1) -> tuple[View, ...]:
    """Every attribute without and with position from either end, and without position refined.

    Args:
        depth: most refinements, at least 0.
    """
    flat = [View(attribute, position) for attribute in Attribute for position in Position]
    refined = [View(attribute, depth=step) for attribute in Attribute for step in range(1, depth + 1)]
    return (*flat, *refined)


def _mixed(numbers: Numbers) -> Numbers:
    """Scramble 64-bit numbers one to one (the finaliser of SplitMix64; Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _hashes(values: Iterable[object]) -> Numbers:
    """The number of each value, from its text."""
    digests = b"".join(hashlib.blake2b(str(value).encode(), digest_size=8).digest() for value in values)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


@dataclass(frozen=True)
class _Described:
    """What one label says; sizes are 0 where it says nothing of them."""

    kind: str
    label: str
    family: str
    operation: str
    hidden: int
    width: int
    head_size: int


def _size(text: str, prefix: str) -> int:
    """The number in ``h128`` and its like; 0 where the text is something else."""
    digits = text.removeprefix(prefix)
    return int(digits) if text.startswith(prefix) and digits.isascii() and digits.isdigit() else 0


def _describe(kind: str, label: str) -> _Described:
    """Read a label as ``explorer.similarity.graph`` writes it; one written otherwise is compared as it is."""
    parts = label.split("_")
    if kind == "head" and len(parts) >= 3:
        head_size = _size(parts[3], "d") if len(parts) > 3 else 0
        return _Described(kind, label, parts[0], f"{parts[0]}_{parts[2]}", _size(parts[1], "h"), 0, head_size)
    hidden = _size(parts[-1], "h") if kind in {"add_norm", "bottleneck"} else 0
    width = _size(parts[-1], "") if kind == "feed_forward" else 0
    plain = kind if kind != "head" else label
    return _Described(kind, label, plain, plain, hidden, width, 0)


class LabelledNodes:
    """All nodes of many graphs in arrays, and the patterns that views count at them.

    Nodes that no view of at most ``depth`` refinements tells apart form a class. There are far fewer classes than
    nodes, so a view's counts come from the counts of classes by one small product.

    Attributes:
        counts: nodes of each class in each graph, ``[N, C]``.

    Args:
        graphs: N graphs.
        depth: most refinements of any view that will be asked for.
    """

    def __init__(self, graphs: Sequence[ArchitectureGraph], depth: int) -> None:
        table = NodeTable(graphs)
        owner, count = table.owner, len(graphs)
        codes: dict[tuple[str, str], int] = {}
        nodes = (pair for graph in graphs for pair in zip(graph.kinds, graph.labels, strict=True))
        numbered = (codes.setdefault(pair, len(codes)) for pair in nodes)
        self._code = np.fromiter(numbered, np.int64, len(owner))
        self._described = [_describe(kind, label) for kind, label in codes]
        layer = np.fromiter((layer for graph in graphs for layer in graph.layers), np.int64, len(owner))
        last = np.full(count, -1, dtype=np.int64)
        np.maximum.at(last, owner, layer)
        from_output = np.where(layer >= 0, last[owner] - layer, -1)
        self._places = {Position.FROM_INPUT: layer, Position.FROM_OUTPUT: from_output}
        self._ways = ((table.sources, table.targets), (table.targets, table.sources))
        self._sizes = {
            Attribute.HIDDEN: self._spread([described.hidden for described in self._described]),
            Attribute.WIDTH: self._spread([described.width for described in self._described]),
            Attribute.HEAD_SIZE: self._head_sizes(owner, layer),
        }
        same = _mixed(
            _hashes(range(len(codes)))[self._code] ^ _mixed(self._sizes[Attribute.HEAD_SIZE].astype(np.uint64))
        )
        for place in self._places.values():
            same = _mixed(same ^ _mixed(place.astype(np.uint64)))
        for _ in range(depth):
            same = _mixed(self._refined(same, 0) ^ self._refined(same, 1))
        _, self._examples, classes = np.unique(same, return_index=True, return_inverse=True)
        shape = (count, len(self._examples))
        self.counts = sparse.csr_matrix((np.ones(len(owner)), (owner, classes)), shape=shape)

    def _spread(self, values: Sequence[int]) -> NDArray[np.int64]:
        """Values of the labels as values of the nodes."""
        return np.array(values, dtype=np.int64)[self._code]

    def _head_sizes(self, owner: NDArray[np.int64], layer: NDArray[np.int64]) -> NDArray[np.int64]:
        """Size of each head: what its label says, else its share of the hidden size; 0 for other nodes."""
        is_head = self._spread([described.kind == "head" for described in self._described]).astype(bool)
        _, place = np.unique(np.stack([owner, layer]), axis=1, return_inverse=True)
        heads = np.bincount(place[is_head], minlength=int(place.max(initial=0)) + 1)[place]
        hidden = self._spread([described.hidden for described in self._described])
        told = self._spread([described.head_size for described in self._described])
        return np.where(is_head, np.where(told > 0, told, hidden // np.maximum(heads, 1)), 0)

    def levels(self) -> dict[Attribute, tuple[int, ...]]:
        """The thresholds of each size: every value that occurs, ascending."""
        return {
            attribute: tuple(int(value) for value in np.unique(values[values > 0]))
            for attribute, values in self._sizes.items()
        }

    def patterns(self, view: View, levels: Levels) -> Iterator[tuple[NDArray[np.int64], Numbers]]:
        """What a view counts, for each of its labellings and, if it refines, for each way along the edges.

        Args:
            view: how to look; of at most the depth given at first.
            levels: thresholds of the sizes.

        Yields:
            (classes whose nodes are counted, ``[c]``; the pattern at their nodes, ``[c]``).
        """
        for numbers, counted in self._labellings(view, levels):
            classes = np.flatnonzero(counted[self._examples])
            for way in range(2 if view.depth else 1):
                refined = numbers
                for _ in range(view.depth):
                    refined = self._refined(refined, way)
                yield classes, refined[self._examples[classes]]

    def _labellings(self, view: View, levels: Levels) -> Iterator[tuple[Numbers, NDArray[np.bool_]]]:
        """Numbers of the nodes before any refinement, and which nodes count, ``[n]`` each."""
        attribute = Attribute.KIND if view.attribute.is_size else view.attribute
        names = [getattr(described, attribute) for described in self._described]
        numbers = _hashes(names)[self._code]
        if view.position is not Position.ANY:
            numbers = _mixed(numbers ^ _mixed(self._places[view.position].astype(np.uint64)))
        if not view.attribute.is_size:
            yield numbers, np.ones(len(numbers), dtype=bool)
            return
        sizes = self._sizes[view.attribute]
        for level in levels[view.attribute]:
            reached = sizes >= level
            yield _mixed(numbers ^ _mixed(np.where(reached, level, 0).astype(np.uint64))), reached

    def _refined(self, numbers: Numbers, way: int) -> Numbers:
        """One refinement of the nodes' numbers ``[n]``, along the edges (way 0) or against them (way 1)."""
        sources, targets = self._ways[way]
        around = np.zeros_like(numbers)
        np.add.at(around, sources, _mixed(numbers[targets]))
        # The node's own number is mixed once more: an only neighbour with the same number must not cancel it.
        return _mixed(_mixed(_mixed(numbers) + np.uint64(way)) ^ around)
