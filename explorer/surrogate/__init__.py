"""Models that predict performance with its uncertainty. Arrays in, Prediction out."""
