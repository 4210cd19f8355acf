"""Size and cost of an architecture: by formula, by torch's counter, by clock and by the memory a process takes.

``size`` and ``amounts`` build nothing; ``counting``, ``latency`` and ``memory`` build the model and run it;
``predictor`` learns a device from what was measured on it.
"""
