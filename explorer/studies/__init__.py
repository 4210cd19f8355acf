"""Searches: what one is, who runs it, what follows it. The only room that joins search, training and the store."""
