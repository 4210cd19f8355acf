"""The Heterogeneity page."""
