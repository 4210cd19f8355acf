"""Why two graphs are similar: the patterns that a kernel counts, and what each adds to its value.

The Weisfeiler–Lehman kernel is the cosine of two vectors of counts. At depth d it counts a node with everything that
follows it over at most d edges, as a tree: after d refinements two nodes have the same label exactly if these trees are
equal. With unit vectors u and v of the two graphs, pattern i adds u_i · v_i to the similarity, and (u_i − v_i)² / 2 to
the dissimilarity 1 − u · v; both sums are exact.

The kernel of many views is exp(−d² / 2), where d² is a sum over patterns. Each pattern gets its share of the
dissimilarity in proportion to its term of d², and its share of the similarity in proportion to the product of the two
counts.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.nodes import NodeTable, Numbers, hashes
from explorer.similarity.views import LabelledNodes, Levels, View


@dataclass(frozen=True)
class PatternWeight:
    """One pattern, how often both graphs have it, and what it adds to the kernel.

    Attributes:
        pattern: in words, see ``explain_trees`` and ``explain_counts``.
        depths: the depths at which it counts; more than one where nothing follows further away, as before the output.
        first, second: how many nodes of each graph have it.
        shared: its part of the similarity, over all its depths.
        different: its part of the dissimilarity, over all its depths.
    """

    pattern: str
    depths: tuple[int, ...]
    first: int
    second: int
    shared: float
    different: float


@dataclass(frozen=True)
class Explanation:
    """The kernel of two graphs, taken apart.

    Attributes:
        similarity: 0 to 1, the sum of all ``shared`` weights; the graphs of a sum of 0 have no pattern in common.
        dissimilarity: 1 − similarity, the sum of all ``different`` weights.
        patterns: every pattern of either graph, shallow ones first.
    """

    similarity: float
    dissimilarity: float
    patterns: tuple[PatternWeight, ...]

    @property
    def shared(self) -> list[PatternWeight]:
        """Patterns that both graphs have, by their part of the similarity, largest first."""
        found = (pattern for pattern in self.patterns if pattern.shared > 0)
        return sorted(found, key=lambda pattern: (-pattern.shared, pattern.depths, pattern.pattern))

    @property
    def different(self) -> list[PatternWeight]:
        """Patterns whose share of the two graphs differs, by their part of the dissimilarity, largest first."""
        found = (pattern for pattern in self.patterns if pattern.different > 0)
        return sorted(found, key=lambda pattern: (-pattern.different, pattern.depths, pattern.pattern))


@dataclass(frozen=True)
class _Occurrence:
    """One pattern at the nodes of two graphs."""

    node: int
    first: int
    second: int


def _occurrences(numbers: Numbers, counted: NDArray[np.bool_], size: int) -> Iterator[_Occurrence]:
    """Yield each pattern of two graphs by first appearance; the first graph has the first ``size`` nodes."""
    nodes = np.flatnonzero(counted)
    counts: dict[int, list[int]] = {}
    for node, number in zip(nodes.tolist(), numbers[nodes].tolist(), strict=True):
        found = counts.setdefault(number, [node, 0, 0])
        found[1 if node < size else 2] += 1
    for found in counts.values():
        yield _Occurrence(*found)


def _words(names: Sequence[str], table: NodeTable, against: bool) -> Callable[[int, int], str]:
    """Return a function that writes the tree of a given depth at a node.

    Nodes that lead to the same are written together, so that the heads of a layer are one term.
    """
    arrow = "←" if against else "→"
    followers: list[list[int]] = [[] for _ in names]
    for source, target in zip(table.sources.tolist(), table.targets.tolist(), strict=True):
        followers[target if against else source].append(source if against else target)

    @cache
    def tail(node: int, depth: int) -> str:
        groups: dict[str, Counter[str]] = defaultdict(Counter)
        for follower in followers[node] if depth else ():
            groups[tail(follower, depth - 1)][names[follower]] += 1
        terms = []
        for rest, labels in groups.items():
            heads = " + ".join(f"{count} × {label}" if count > 1 else label for label, count in sorted(labels.items()))
            terms.append(f"{heads} {arrow} {rest}" if rest else heads)
        return terms[0] if len(terms) == 1 else f"[{'; '.join(sorted(terms))}]" if terms else ""

    def text(node: int, depth: int) -> str:
        rest = tail(node, depth)
        return f"{names[node]} {arrow} {rest}" if rest else names[node]

    return text


def explain_trees(
    first: ArchitectureGraph, second: ArchitectureGraph, iterations: int = 5, against: bool = False
) -> Explanation:
    """Take the Weisfeiler–Lehman kernel of two graphs apart.

    A pattern is written as a path: ``c_h128_5 → add_norm_h128`` is a convolution head whose result is added and
    normalised. ``2 × a + b → c`` are three nodes that all lead to c; ``[…; …]`` encloses what follows one node on
    several ways, such as through the feed-forward stack and past it. What lies deeper than the pattern's depth is not
    part of it.

    Args:
        first: a graph with at least one node.
        second: another.
        iterations: refinements of the kernel, at least 0.
        against: whether they look against the edges.

    Returns:
        Every pattern with its counts and weights.
    """
    table = NodeTable([first, second])
    text = _words([table.names[label] for label in table.labels], table, against)
    everywhere = np.ones(len(table.labels), dtype=bool)
    numbers = hashes(table.names)[table.labels]
    depths: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    for depth in range(iterations + 1):
        for found in _occurrences(numbers, everywhere, len(first)):
            depths[text(found.node, depth), found.first, found.second].append(depth)
        numbers = table.refined(numbers, against)
    norms = (
        math.sqrt(sum(len(at) * one**2 for (_, one, _), at in depths.items())),
        math.sqrt(sum(len(at) * two**2 for (_, _, two), at in depths.items())),
    )
    patterns = []
    for (pattern, one, two), at in depths.items():
        u, v = one / norms[0], two / norms[1]
        patterns.append(PatternWeight(pattern, tuple(at), one, two, len(at) * u * v, len(at) * (u - v) ** 2 / 2))
    similarity = math.fsum(pattern.shared for pattern in patterns)
    dissimilarity = math.fsum(pattern.different for pattern in patterns)
    return Explanation(min(similarity, 1.0), min(dissimilarity, 1.0), tuple(patterns))


def explain_counts(
    first: ArchitectureGraph,
    second: ArchitectureGraph,
    views: Sequence[View],
    levels: Levels,
    factors: NDArray[np.float64],
) -> Explanation:
    """Take the kernel of many views of two graphs apart.

    A pattern is written by the attribute that its view compares: ``sa in layer 2`` is a self-attention head in the
    second layer, ``head (hidden ≥ 256)`` one of at least this hidden size, ``add_norm → ff_512`` an operation and what
    it feeds (``←``: what feeds it).

    Args:
        first: a graph with at least one node.
        second: another.
        views: of the kernel.
        levels: its thresholds of sizes.
        factors: what it multiplies the counts of each view by ``[V]``.

    Returns:
        Every pattern with its counts and weights.
    """
    nodes = LabelledNodes([first, second], max(view.depth for view in views))
    found: list[tuple[str, int, _Occurrence, float]] = []
    for view, factor in zip(views, factors.tolist(), strict=True):
        for level, against, counted, numbers in nodes.labelled(view, levels) if factor > 0 else ():
            text = _words(nodes.names(view, level), nodes.table, against)
            for at in _occurrences(numbers, counted, len(first)):
                found.append((text(at.node, view.depth), view.depth, at, factor**2))
    squared = math.fsum(weight * (at.first - at.second) ** 2 for _, _, at, weight in found)
    product = math.fsum(weight * at.first * at.second for _, _, at, weight in found)
    similarity, dissimilarity = math.exp(-squared / 2), -math.expm1(-squared / 2)
    patterns = tuple(
        PatternWeight(
            text,
            (depth,),
            at.first,
            at.second,
            similarity * weight * at.first * at.second / product if product else 0.0,
            dissimilarity * weight * (at.first - at.second) ** 2 / squared if squared else 0.0,
        )
        for text, depth, at, weight in found
    )
    return Explanation(similarity, dissimilarity, patterns)
