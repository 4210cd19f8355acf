"""Explore and search Transformer-encoder architectures: FlexiBERT, BOSHNAS and SuperShaper made real."""
