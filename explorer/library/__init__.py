"""A space's architectures in the store: built, extended, imported, exported."""
