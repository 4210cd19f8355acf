"""Architectures and design spaces, and the spaces it lives in. No torch here."""
