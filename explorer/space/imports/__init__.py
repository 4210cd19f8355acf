"""Tables from elsewhere, read row by row: what is sound is kept, what is not is refused by name."""
