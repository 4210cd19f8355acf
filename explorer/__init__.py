"""Explore and search Transformer-encoder architectures: FlexiBERT, BOSHNAS and SuperShaper made real.

``import explorer`` is cheap. ``import explorer.models`` loads torch and registers the encoders with the Auto classes of
``transformers``.
"""
