"""The Pareto page."""
