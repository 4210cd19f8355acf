"""Baselines of the papers that benchmarks compare with and that are not part of the product."""
