"""Search policies under one ask/tell contract."""
