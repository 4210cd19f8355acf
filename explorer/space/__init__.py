"""What an architecture is, and the spaces it lives in. No torch here."""
