"""Shapes (SuperShaper, arXiv 2110.04711): predicting, searching and describing which layers should be wide."""
