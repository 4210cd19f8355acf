"""The graph store: one contract, an embedded engine (SQLite) and a server engine (Neo4j)."""

from graphstore.contract import GraphStore
from graphstore.url import open_store

__all__ = ["GraphStore", "open_store"]
