"""Architectures as labelled graphs, kernels between them, and vectors that kernels give."""
