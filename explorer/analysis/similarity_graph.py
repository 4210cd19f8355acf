"""The similarity graph around an architecture: its stored neighbours, and the neighbours of selected ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import pandas as pd

from graphstore import GraphStore

SHOWN = 8
"""Number of neighbours drawn for each architecture."""
MOST_EXPANDED = 8
"""Most further architectures whose neighbours are drawn."""
LEAST = 0.02
"""Shortest length of an edge, so that equal graphs do not overlap."""


@dataclass(frozen=True)
class SimilarityGraph:
    """A graph to draw.

    Attributes:
        nodes: indexed by id, the centre first: ``x, y, step``; ``step`` is the number of edges from the centre.
        edges: ``source, target, dissimilarity``, each pair once.
        expanded: architectures whose neighbours are all in the graph, including the centre.
    """

    nodes: pd.DataFrame
    edges: pd.DataFrame
    expanded: tuple[str, ...]


def similarity_graph(
    store: GraphStore, space: str, id: str, kernel: str, expanded: Sequence[str] = ()
) -> SimilarityGraph:
    """Return the graph of an architecture's neighbours, and of the neighbours of further ones.

    Args:
        store: the store with the neighbours.
        space: the space whose neighbours to take.
        id: the architecture in the centre.
        kernel: the kernel that ranks the neighbours.
        expanded: further architectures, in the order of selection; those not connected to the centre are ignored.

    Returns:
        The same layout for the same arguments; lengths of edges approximate the dissimilarities.
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
