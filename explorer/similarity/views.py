"""Views of a graph's nodes, and the Weisfeiler–Lehman patterns that each view counts.

Full labels, such as ``sa_h128_sdp``, are equal or different and nothing between: two heads that differ only in hidden
size are as different as a convolution and a feed-forward layer. A *view* compares nodes by one attribute of their label
instead (the operation's family, say), with or without the distance of the node's layer from the input or the output,
and with the node's neighbourhood up to a depth (Weisfeiler–Lehman refinements, both along and against the edges).

Sizes (hidden, feed-forward width, head size) are ordered, and labels are not. Such a view therefore has one labelling
for each threshold t, "at least t or not", and counts the nodes that reach t: 128 is nearer to 256 than to 768. The
thresholds are the values that occur in reference graphs; any other value falls between two of them.

Patterns are numbered by 64-bit hashes, so that graphs read at different times agree without a shared table. A
refinement hashes a node's own number with the sum of its neighbours' mixed numbers, which is the same for every order
of the neighbours. Among a million patterns two would collide with a probability of about 3e-8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.nodes import NodeTable, Numbers, hashes, mixed

Levels = Mapping["Attribute", tuple[int, ...]]


class Attribute(StrEnum):
    """The part of a node's label that a view compares."""

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
    """Whether nodes of different layers count as different, and from which end layers are counted."""

    ANY = "any"
    FROM_INPUT = "from_input"
    FROM_OUTPUT = "from_output"


@dataclass(frozen=True)
class View:
    """One view of a graph.

    Attributes:
        attribute: the part of a node's label that is compared.
        position: whether layers are distinguished, and from which end they are counted.
        depth: number of refinements, at least 0, counted both along and against the edges.
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
    """Return views of every attribute without position, with position from either end, and refined without position.

    Args:
        depth: largest number of refinements, at least 0.
    """
    flat = [View(attribute, position) for attribute in Attribute for position in Position]
    refined = [View(attribute, depth=step) for attribute in Attribute for step in range(1, depth + 1)]
    return (*flat, *refined)


@dataclass(frozen=True)
class _Described:
    """The parts of one label; a size that it does not state is 0."""

    kind: str
    label: str
    family: str
    operation: str
    hidden: int
    width: int
    head_size: int


def _size(text: str, prefix: str) -> int:
    """Return the number in texts like ``h128``; 0 for other texts."""
    digits = text.removeprefix(prefix)
    return int(digits) if text.startswith(prefix) and digits.isascii() and digits.isdigit() else 0


def _describe(kind: str, label: str) -> _Described:
    """Parse a label that ``explorer.similarity.graph`` wrote; other labels are compared as they are."""
    parts = label.split("_")
    if kind == "head" and len(parts) >= 3:
        head_size = _size(parts[3], "d") if len(parts) > 3 else 0
        return _Described(kind, label, parts[0], f"{parts[0]}_{parts[2]}", _size(parts[1], "h"), 0, head_size)
    hidden = _size(parts[-1], "h") if kind in {"add_norm", "bottleneck"} else 0
    width = _size(parts[-1], "") if kind == "feed_forward" else 0
    plain = kind if kind != "head" else label
    return _Described(kind, label, plain, plain, hidden, width, 0)


def sizes_in(kind: str, label: str) -> tuple[int, int, int]:
    """Return the hidden size, feed-forward width and head size that a label names, 0 where it names none."""
    described = _describe(kind, label)
    return described.hidden, described.width, described.head_size


class LabelledNodes:
    """All nodes of many graphs in arrays, and the patterns that views count at them.

    Nodes that no view of at most ``depth`` refinements distinguishes form a class. There are far fewer classes than
    nodes, so a view's counts come from the counts of classes by one small product.

    Attributes:
        table: all nodes and edges.
        counts: nodes of each class in each graph, ``[N, C]``.

    Args:
        graphs: N graphs.
        depth: largest number of refinements of the views that will be counted.
    """

    def __init__(self, graphs: Sequence[ArchitectureGraph], depth: int) -> None:
        self.table = table = NodeTable(graphs)
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
        self._sizes = {
            Attribute.HIDDEN: self._spread([described.hidden for described in self._described]),
            Attribute.WIDTH: self._spread([described.width for described in self._described]),
            Attribute.HEAD_SIZE: self._head_sizes(owner, layer),
        }
        same = mixed(hashes(range(len(codes)))[self._code] ^ mixed(self._sizes[Attribute.HEAD_SIZE].astype(np.uint64)))
        for place in self._places.values():
            same = mixed(same ^ mixed(place.astype(np.uint64)))
        for _ in range(depth):
            same = mixed(table.refined(same) ^ table.refined(same, against=True))
        _, self._examples, classes = np.unique(same, return_index=True, return_inverse=True)
        shape = (count, len(self._examples))
        self.counts = sparse.csr_matrix((np.ones(len(owner)), (owner, classes)), shape=shape)

    def _spread(self, values: Sequence[int]) -> NDArray[np.int64]:
        """Return the nodes' values, given those of the labels."""
        return np.array(values, dtype=np.int64)[self._code]

    def _head_sizes(self, owner: NDArray[np.int64], layer: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the size of each head, from its label or else its share of the hidden size; 0 for other nodes."""
        is_head = self._spread([described.kind == "head" for described in self._described]).astype(bool)
        _, place = np.unique(np.stack([owner, layer]), axis=1, return_inverse=True)
        heads = np.bincount(place[is_head], minlength=int(place.max(initial=0)) + 1)[place]
        hidden = self._spread([described.hidden for described in self._described])
        stated = self._spread([described.head_size for described in self._described])
        return np.where(is_head, np.where(stated > 0, stated, hidden // np.maximum(heads, 1)), 0)

    def levels(self) -> dict[Attribute, tuple[int, ...]]:
        """Return the thresholds of each size: every value that occurs, ascending."""
        return {
            attribute: tuple(int(value) for value in np.unique(values[values > 0]))
            for attribute, values in self._sizes.items()
        }

    def counted(self, view: View, levels: Levels) -> tuple[NDArray[np.int64], Numbers]:
        """Return the classes whose nodes a view counts, and the pattern at their nodes, ``[c]`` each.

        A class is there once for each labelling and, if the view refines, for each way along the edges.

        Args:
            view: the view; its depth is at most that of the constructor.
            levels: thresholds of the sizes.
        """
        classes, patterns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.uint64)]
        for _, _, nodes, numbers in self.labelled(view, levels):
            found = np.flatnonzero(nodes[self._examples])
            classes.append(found)
            patterns.append(numbers[self._examples[found]])
        return np.concatenate(classes), np.concatenate(patterns)

    def labelled(self, view: View, levels: Levels) -> Iterator[tuple[int, bool, NDArray[np.bool_], Numbers]]:
        """Refine the nodes under each labelling of a view and, if the view refines, each way along the edges.

        Yields:
            (threshold of a size or 0, whether against the edges, which nodes count ``[n]``, their patterns ``[n]``).
        """
        for level, numbers, counted in self._labellings(view, levels):
            for against in (False, True) if view.depth else (False,):
                refined = numbers
                for _ in range(view.depth):
                    refined = self.table.refined(refined, against)
                yield level, against, counted, refined

    def names(self, view: View, level: int) -> list[str]:
        """Return each node's label under a view before any refinement, in words ``[n]``.

        Args:
            view: the view.
            level: threshold of a size; 0 for a view of another attribute.
        """
        attribute = Attribute.KIND if view.attribute.is_size else view.attribute
        names = [str(getattr(self._described[code], attribute)) for code in self._code]
        if view.attribute.is_size:
            label = str(view.attribute).replace("_", " ")
            sizes = self._sizes[view.attribute]
            names = [
                f"{name} ({label} ≥ {level})" if size >= level else name
                for name, size in zip(names, sizes, strict=True)
            ]
        if view.position is Position.ANY:
            return names
        end = " from the output" if view.position is Position.FROM_OUTPUT else ""
        layers = self._places[view.position]
        return [
            f"{name} in layer {layer + 1}{end}" if layer >= 0 else name
            for name, layer in zip(names, layers, strict=True)
        ]

    def _labellings(self, view: View, levels: Levels) -> Iterator[tuple[int, Numbers, NDArray[np.bool_]]]:
        """Yield thresholds, and for each the nodes' numbers before any refinement and which nodes count ``[n]``."""
        attribute = Attribute.KIND if view.attribute.is_size else view.attribute
        names = [getattr(described, attribute) for described in self._described]
        numbers = hashes(names)[self._code]
        if view.position is not Position.ANY:
            numbers = mixed(numbers ^ mixed(self._places[view.position].astype(np.uint64)))
        if not view.attribute.is_size:
            yield 0, numbers, np.ones(len(numbers), dtype=bool)
            return
        sizes = self._sizes[view.attribute]
        for level in levels.get(view.attribute, ()):
            reached = sizes >= level
            yield level, mixed(numbers ^ mixed(np.where(reached, level, 0).astype(np.uint64))), reached
