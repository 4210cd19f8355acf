"""Dissimilarities to vectors, and nearest neighbours."""
