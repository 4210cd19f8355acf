"""Why two graphs are similar: the patterns the Weisfeiler–Lehman kernel counts, and what each adds to its value.

The kernel (``explorer.similarity.weisfeiler_lehman``) is the cosine of two vectors of counts. What it counts at depth d
is a node with everything that follows it over at most d edges, as a tree: after d refinements two nodes have the same
label exactly if these trees are equal. With unit vectors u and v of the two graphs, pattern i adds u_i · v_i to the
similarity, and (u_i − v_i)² / 2 to the dissimilarity 1 − u · v; both sums are exact, nothing is left over.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

from explorer.similarity.graph import ArchitectureGraph


@dataclass(frozen=True)
class PatternWeight:
    """One pattern, how often both graphs have it, and what it adds to the kernel.

    Attributes:
        pattern: in words, see ``explain``.
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
        similarity: sum of all ``shared`` weights, 0 to 1.
        dissimilarity: sum of all ``different`` weights, 0 to 1; 1 − similarity.
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


class _Trees:
    """Numbers equal trees alike and writes them; a tree is a label and the numbers of the trees that follow."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, tuple[int, ...]], int] = {}
        self._labels: list[str] = []
        self._tails: list[str] = []

    def number(self, label: str, followers: tuple[int, ...]) -> int:
        """The number of a tree, given those of its followers in ascending order."""
        key = (label, followers)
        if key not in self._numbers:
            self._numbers[key] = len(self._labels)
            self._labels.append(label)
            self._tails.append(self._tail(followers))
        return self._numbers[key]

    def text(self, number: int) -> str:
        """The tree in words."""
        tail = self._tails[number]
        return f"{self._labels[number]} → {tail}" if tail else self._labels[number]

    def _tail(self, followers: tuple[int, ...]) -> str:
        """What follows; those that lead to the same are written together, so that a layer's heads are one term."""
        groups: dict[str, Counter[str]] = defaultdict(Counter)
        for follower in followers:
            groups[self._tails[follower]][self._labels[follower]] += 1
        terms = []
        for tail, labels in groups.items():
            heads = " + ".join(f"{count} × {label}" if count > 1 else label for label, count in sorted(labels.items()))
            terms.append(f"{heads} → {tail}" if tail else heads)
        return terms[0] if len(terms) == 1 else f"[{'; '.join(sorted(terms))}]" if terms else ""


def _count(graph: ArchitectureGraph, iterations: int, trees: _Trees) -> list[Counter[int]]:
    """How often each tree occurs in a graph, for depths 0 to ``iterations``."""
    followers: list[list[int]] = [[] for _ in graph.labels]
    for source, target in graph.edges:
        followers[source].append(target)
    current = [trees.number(label, ()) for label in graph.labels]
    counts = [Counter(current)]
    for _ in range(iterations):
        current = [
            trees.number(label, tuple(sorted(current[target] for target in after)))
            for label, after in zip(graph.labels, followers, strict=True)
        ]
        counts.append(Counter(current))
    return counts


def explain(first: ArchitectureGraph, second: ArchitectureGraph, iterations: int = 5) -> Explanation:
    """Take the kernel of two graphs apart.

    A pattern is written as a path: ``c_h128_5 → add_norm_h128`` is a convolution head whose result is added and
    normalised. ``2 × a + b → c`` are three nodes that all lead to c; ``[…; …]`` encloses what follows one node on
    several ways, such as through the feed-forward stack and past it. What lies deeper than the pattern's depth is not
    part of it.

    Args:
        first: a graph with at least one node.
        second: another.
        iterations: refinements of the kernel, at least 0.

    Returns:
        Every pattern with its counts and weights.
    """
    trees = _Trees()
    counts = [_count(graph, iterations, trees) for graph in (first, second)]
    norm_first, norm_second = (math.sqrt(sum(n * n for depth in found for n in depth.values())) for found in counts)
    depths: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for depth, (ones, twos) in enumerate(zip(*counts, strict=True)):
        for tree in dict.fromkeys([*ones, *twos]):
            depths[tree, ones[tree], twos[tree]].append(depth)
    patterns = []
    for (tree, one, two), at in depths.items():
        u, v = one / norm_first, two / norm_second
        weights = len(at) * u * v, len(at) * (u - v) ** 2 / 2
        patterns.append(PatternWeight(trees.text(tree), tuple(at), one, two, *weights))
    similarity = math.fsum(pattern.shared for pattern in patterns)
    dissimilarity = math.fsum(pattern.different for pattern in patterns)
    return Explanation(min(similarity, 1.0), min(dissimilarity, 1.0), tuple(patterns))
