"""Super-networks: one trained model that holds every shape of a backbone (SuperShaper, arXiv 2110.04711)."""
