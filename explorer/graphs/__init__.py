"""Architectures as labelled directed graphs, and their canonical hash."""
