"""Architectures as labelled directed graphs, and their canonical hash."""

from explorer.graphs.build import ArchitectureGraph, architecture_id, build_graph, graph_hash

__all__ = ["ArchitectureGraph", "architecture_id", "build_graph", "graph_hash"]
