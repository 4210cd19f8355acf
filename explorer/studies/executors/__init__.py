"""Executors of a study's trials: one contract, implemented by local processes and by a Ray cluster."""
