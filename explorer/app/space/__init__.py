"""The Space page."""
