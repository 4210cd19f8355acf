"""An architecture as a labelled directed acyclic graph (FlexiBERT, arXiv 2205.11656, section 3.2).

``input`` → per layer: one node per head → ``add_norm`` (also fed by the layer's input) → the feed-forward chain →
``add_norm`` (also fed by the first one) → … → ``output``. Where the architecture has a backbone, each layer stands
between two ``bottleneck`` nodes. Every node lies on a path from input to output.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec

if TYPE_CHECKING:
    import networkx as nx

Edge = tuple[int, int]


@dataclass(frozen=True)
class ArchitectureGraph:
    """A labelled directed acyclic graph, nodes in topological order.

    Attributes:
        kinds: ``input``, ``bottleneck``, ``head``, ``add_norm``, ``feed_forward`` or ``output``, one per node.
        labels: what the kernels compare, one per node.
        layers: index of the node's layer, -1 for input and output.
        edges: (source, target) node indices; source < target.
    """

    kinds: tuple[str, ...]
    labels: tuple[str, ...]
    layers: tuple[int, ...]
    edges: tuple[Edge, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def to_networkx(self) -> nx.DiGraph:
        """The same graph for networkx, with node attributes ``kind``, ``label`` and ``layer``."""
        # networkx takes as long to import as everything else here.
        import networkx as nx

        graph = nx.DiGraph()
        for index, (kind, label, layer) in enumerate(zip(self.kinds, self.labels, self.layers, strict=True)):
            graph.add_node(index, kind=kind, label=label, layer=layer)
        graph.add_edges_from(self.edges)
        return graph


def head_label(head: HeadOp, layer: LayerSpec) -> str:
    """Return a head's label: operation, hidden size and parameter, and its size if heads do not tile the layer."""
    label = f"{head.family}_h{layer.hidden}_{head.parameter}"
    return label if head.size * len(layer.heads) == layer.hidden else f"{label}_d{head.size}"


@lru_cache(maxsize=65536)
def _layer_part(layer: LayerSpec) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Edge, ...]]:
    """Return kinds, labels and edges of one layer; its input is node -1, its output the last node."""
    heads = len(layer.heads)
    stack = len(layer.feed_forward)
    kinds = ("head",) * heads + ("add_norm",) + ("feed_forward",) * stack + ("add_norm",)
    labels = (
        *(head_label(head, layer) for head in layer.heads),
        f"add_norm_h{layer.hidden}",
        *(f"ff_{width}" for width in layer.feed_forward),
        f"add_norm_h{layer.hidden}",
    )
    edges: list[Edge] = []
    for head in range(heads):
        edges += [(-1, head), (head, heads)]
    edges.append((-1, heads))
    edges += [(node, node + 1) for node in range(heads, heads + stack + 1)]
    edges.append((heads, heads + stack + 1))
    return kinds, labels, tuple(edges)


def build_graph(spec: ArchitectureSpec) -> ArchitectureGraph:
    """Build the computational graph of an architecture."""
    kinds, labels, layers = ["input"], ["input"], [-1]
    edges: list[Edge] = []
    entry = 0

    def bottleneck(way: str, index: int, layer: LayerSpec) -> int:
        kinds.append("bottleneck")
        labels.append(f"bottleneck_{way}_{spec.backbone}_h{layer.hidden}")
        layers.append(index)
        edges.append((entry, len(labels) - 1))
        return len(labels) - 1

    for index, layer in enumerate(spec.layers):
        if spec.backbone is not None:
            entry = bottleneck("in", index, layer)
        part_kinds, part_labels, part_edges = _layer_part(layer)
        start = len(labels)
        kinds += part_kinds
        labels += part_labels
        layers += [index] * len(part_labels)
        edges += [(entry if a < 0 else start + a, start + b) for a, b in part_edges]
        entry = len(labels) - 1
        if spec.backbone is not None:
            entry = bottleneck("out", index, layer)
    kinds.append("output")
    labels.append("output")
    layers.append(-1)
    edges.append((entry, len(labels) - 1))
    return ArchitectureGraph(tuple(kinds), tuple(labels), tuple(layers), tuple(edges))


def _digest(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).digest()


def graph_hash(graph: ArchitectureGraph) -> str:
    """Hash a graph independently of how its nodes are numbered within a topological order.

    Every node gets a digest of its label and of everything before it, and one of everything after it; the hash is
    that of the sorted pairs. Isomorphic graphs get equal hashes.

    Returns:
        24 hexadecimal digits.
    """
    before: list[list[int]] = [[] for _ in graph.labels]
    after: list[list[int]] = [[] for _ in graph.labels]
    for source, target in graph.edges:
        before[target].append(source)
        after[source].append(target)
    encoded = [label.encode() for label in graph.labels]
    down: list[bytes] = [b""] * len(encoded)
    up: list[bytes] = [b""] * len(encoded)
    for node, label in enumerate(encoded):
        down[node] = _digest(label, *sorted(down[source] for source in before[node]))
    for node in range(len(encoded) - 1, -1, -1):
        up[node] = _digest(encoded[node], *sorted(up[target] for target in after[node]))
    pairs = sorted(down[node] + up[node] for node in range(len(encoded)))
    return hashlib.blake2b(b"".join(pairs), digest_size=12).hexdigest()


def architecture_id(spec: ArchitectureSpec) -> str:
    """Return the id of an architecture: the canonical hash of its graph."""
    return graph_hash(build_graph(spec))
