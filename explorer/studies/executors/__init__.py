"""How a study's trials get workers: one contract, local processes and a Ray cluster beside each other."""
