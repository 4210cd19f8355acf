"""Size and cost of an architecture: by formula, by torch's FLOP counter, by clock and by peak memory.

``size`` and ``amounts`` build nothing; ``counting``, ``latency`` and ``memory`` build the model and run it;
``predictor`` fits a device to its measurements.
"""
