"""Part of the similarity graph around an architecture: its stored neighbours, and those of neighbours one asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import pandas as pd

from graphstore import GraphStore

SHOWN = 8
"""Neighbours of each architecture that are drawn."""
MOST_EXPANDED = 8
"""Architectures besides the first whose neighbours are drawn too."""
LEAST = 0.02
"""Least length of an edge, so that equal graphs do not lie on each other."""


@dataclass(frozen=True)
class SimilarityGraph:
    """What is drawn.

    Attributes:
        nodes: indexed by id, the first one first: ``x, y, step``; ``step`` counts the edges from the first one.
        edges: ``source, target, dissimilarity``, each pair once.
        expanded: whose neighbours are all there, the first one included.
    """

    nodes: pd.DataFrame
    edges: pd.DataFrame
    expanded: tuple[str, ...]


def similarity_graph(
    store: GraphStore, space: str, id: str, kernel: str, expanded: Sequence[str] = ()
) -> SimilarityGraph:
    """The neighbours of an architecture, and of those named.

    Args:
        store: where they are.
        space: whose neighbours count.
        id: the first one.
        kernel: by which they are near.
        expanded: further ones, in the order of asking; those that are not reached from the first one are left out.

    Returns:
        The same places for the same question; lengths follow the dissimilarities as far as two dimensions allow.
    """
    graph = nx.Graph()
    graph.add_node(id)
    done: list[str] = []
    for source in [id, *list(dict.fromkeys(expanded))[:MOST_EXPANDED]]:
        if source in graph and source not in done:
            done.append(source)
            for neighbor in store.neighbors(space, source, kernel, SHOWN):
                length = max(neighbor.dissimilarity, LEAST)
                graph.add_edge(source, neighbor.target, dissimilarity=neighbor.dissimilarity, length=length)
    places = nx.kamada_kawai_layout(graph, weight="length") if len(graph) > 1 else {id: (0.0, 0.0)}
    steps = nx.single_source_shortest_path_length(graph, id)
    middle = places[id]
    rows = [(node, places[node][0] - middle[0], places[node][1] - middle[1], steps[node]) for node in graph]
    nodes = pd.DataFrame(rows, columns=["id", "x", "y", "step"]).set_index("id")
    edges = [(source, target, facts["dissimilarity"]) for source, target, facts in graph.edges(data=True)]
    return SimilarityGraph(nodes, pd.DataFrame(edges, columns=["source", "target", "dissimilarity"]), tuple(done))
