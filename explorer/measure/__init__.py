"""Size and cost of an architecture."""
